// SPDX-License-Identifier: MIT
//
// Many waits: on one descriptor, on many, in several contexts and threads.
#include "blocking_calls/support.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/sanitizers.hpp"

#include <array>
#include <atomic>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>

using namespace test;

TEST_CASE("several portals wait for one descriptor") {
    socket_pair s;
    std::string got;
    auto const reader = [&] {
        char c;
        CHECK(::read(s.a, &c, 1) == 1);
        got += c;
    };
    together(reader, reader, reader, [&] {
        for (char const c : {'x', 'y', 'z'}) {
            CHECK(::write(s.b, &c, 1) == 1);
            CHECK(::usleep(1000) == 0);
        }
    });
    CHECK(got == "xyz");
}

TEST_CASE("several portals that wait for one descriptor are all told that its other end is gone") {
    socket_pair s;
    int ended = 0;
    auto const reader = [&] {
        char c;
        CHECK(::read(s.a, &c, 1) == 0);
        ++ended;
    };
    together(reader, reader, reader, [&] { s.close_b(); });
    CHECK(ended == 3);
}

TEST_CASE("a number that is closed and used again is another descriptor") {
    together([&] {
        int number = -1;
        for (int i = 0; i != 50; ++i) {
            socket_pair s;
            if (i != 0)
                CHECK(s.a == number);
            number = s.a;
            pollfd p{s.a, POLLIN, 0};
            CHECK(::poll(&p, 1, 1) == 0);
            char c = 0;
            CHECK(::write(s.b, "x", 1) == 1);
            CHECK(::read(s.a, &c, 1) == 1);
        }
    });
}

TEST_CASE("what happens to a descriptor that was waited for wakes nobody under its number") {
    // It is still open under another number, so the kernel goes on telling of it.
    together([&] {
        socket_pair old;
        pollfd p{old.a, POLLIN, 0};
        CHECK(::poll(&p, 1, 1) == 0);
        int const kept = ::dup(old.a), number = old.a;
        old.close_a();
        socket_pair s;
        CHECK(s.a == number);
        CHECK(::write(old.b, "x", 1) == 1);
        p.fd = s.a;
        CHECK(::poll(&p, 1, 20) == 0);
        CHECK(::write(s.b, "y", 1) == 1);
        char c = 0;
        CHECK(::read(s.a, &c, 1) == 1);
        CHECK(c == 'y');
        ::close(kept);
    });
}

TEST_CASE("a descriptor may be that of an Asio socket, which waits too") {
    asio::io_context context(1);
    asio::local::stream_protocol::socket a(context), b(context);
    asio::local::connect_pair(a, b);
    int told = 0;
    spawn(context, [](auto& s, int& n) -> asio::awaitable<void> {
        char c;
        co_await s.async_read_some(asio::buffer(&c, 1), asio::use_awaitable);
        ++n;
        co_await s.async_read_some(asio::buffer(&c, 1), asio::use_awaitable);
        ++n;
    }(a, told));
    spawn(context, on_portal([&] {
              pollfd p{a.native_handle(), POLLIN, 0};
              CHECK(::poll(&p, 1, -1) >= 0);
              ++told;
          }));
    spawn(context, on_portal([&] {
              CHECK(::write(b.native_handle(), "x", 1) == 1);
              CHECK(::usleep(1000) == 0);
              CHECK(::write(b.native_handle(), "yz", 2) == 2);
          }));
    run_all(context);
    CHECK(told == 3);
}

TEST_CASE("many descriptors are ready at once") {
    int const count = GENERATE(20, 65, 200);
    CAPTURE(count);
    asio::io_context context(1);
    std::vector<std::unique_ptr<socket_pair>> sockets;
    int got = 0;
    for (int i = 0; i != count; ++i) {
        socket_pair const& s = *sockets.emplace_back(std::make_unique<socket_pair>());
        spawn(context, on_portal([&] {
                  for (int turn = 0; turn != 3; ++turn) {
                      char c;
                      if (::read(s.a, &c, 1) != 1)
                          throw std::runtime_error("read");
                      ++got;
                  }
              }));
    }
    for (int turn = 0; turn != 3; ++turn) {
        spawn(context, on_portal([&, turn] {
                  while (got != turn * count)
                      ::usleep(100);
                  for (auto const& s : sockets) {
                      if (::write(s->b, "x", 1) != 1)
                          throw std::runtime_error("write");
                  }
              }));
    }
    run_all(context);
    CHECK(got == 3 * count);
}

TEST_CASE("many wait for one descriptor, which is ready for each in turn") {
    asio::io_context context(1);
    socket_pair s;
    int got = 0;
    constexpr int count = 100;
    for (int i = 0; i != count; ++i)
        spawn(context, on_portal([&] {
                  char c;
                  if (::read(s.a, &c, 1) == 1)
                      ++got;
              }));
    spawn(context, on_portal([&] {
              std::string const text(count, 'x');
              CHECK(::write(s.b, text.data(), text.size()) == count);
          }));
    run_all(context);
    CHECK(got == count);
}

TEST_CASE("the event loop ends when nothing waits any more") {
    asio::io_context context(1);
    socket_pair s;
    for (int i = 0; i != 3; ++i) {
        int done = 0;
        spawn(context, on_portal([&] {
                  char c;
                  CHECK(::read(s.a, &c, 1) == 1);
                  pollfd p{s.a, POLLIN, 0};
                  CHECK(::poll(&p, 1, 1) == 0);
                  ++done;
              }));
        spawn(context, on_portal([&] {
                  CHECK(::write(s.b, "x", 1) == 1);
                  ++done;
              }));
        run_all(context); // throws if it does not end
        CHECK(done == 2);
    }
}

TEST_CASE("a wait with a long deadline that ends early does not keep the event loop") {
    socket_pair s;
    together(
        [&] {
            pollfd p{s.a, POLLIN, 0};
            CHECK(::poll(&p, 1, 1'000'000'000) == 1);
        },
        [&] { CHECK(::write(s.b, "x", 1) == 1); });
}

TEST_CASE("the event loop does not end while something waits that nothing tells of") {
    // Regular files are in no epoll.
    int const file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    asio::io_context context(1);
    asio::cancellation_signal signal;
    bool over = false;
    asio::co_spawn(context, on_portal([&] {
                       pollfd p{file, POLLPRI, 0};
                       CHECK(failed_with(::poll(&p, 1, -1), ECANCELED));
                       over = true;
                   }),
                   asio::bind_cancellation_slot(signal.slot(), asio::detached));
    context.run_for(std::chrono::milliseconds(20));
    CHECK(!context.stopped());
    signal.emit(asio::cancellation_type::terminal);
    run_all(context);
    CHECK(over);
    ::close(file);
}

TEST_CASE("waiting portals need no descriptors") {
    outcome const child = in_child([] {
        rlimit limit{};
        ::getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = 256;
        if (::setrlimit(RLIMIT_NOFILE, &limit) != 0)
            return 1;
        constexpr int count = sanitized ? 300 : 1000;
        std::array<std::unique_ptr<socket_pair>, 50> sockets;
        for (auto& s : sockets)
            s = std::make_unique<socket_pair>();
        asio::io_context context(1);
        awaits_since const awaits;
        int got = 0;
        for (int i = 0; i != count; ++i) {
            spawn(context, on_portal([&, i] {
                      char c;
                      got += ::read(sockets[static_cast<std::size_t>(i) % sockets.size()]->a, &c, 1) == 1;
                  }));
        }
        poll_all(context);
        if (got != 0 || awaits.count() != count)
            return 2;
        for (auto const& s : sockets) {
            std::string const text(count / sockets.size(), 'x');
            if (::write(s->b, text.data(), text.size()) != ssize_t(text.size()))
                return 3;
        }
        run_all(context);
        return got == count ? 0 : 4;
    });
    CHECK(child.said == "");
    CHECK(child.exited_with(0));
}

TEST_CASE("where no more descriptors can be had, a wait fails instead of hanging") {
#if defined(TEST_UNDER_ASAN) // and UndefinedBehaviorSanitizer, in the same builds
    WARN("skipped: the sanitizer needs a pipe to find out that an object is one");
    return;
#endif
    outcome const child = in_child([] {
        socket_pair s;
        asio::io_context context(1);
        rlimit limit{};
        ::getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = static_cast<rlim_t>(s.b) + 1;
        if (::setrlimit(RLIMIT_NOFILE, &limit) != 0)
            return 1;
        while (::dup(s.b) >= 0) {
        }
        bool failed = false;
        spawn(context, on_portal([&] {
                  char c;
                  failed = failed_with(::read(s.a, &c, 1), EMFILE);
              }));
        run_all(context);
        return failed ? 0 : 2;
    });
    CHECK(child.said == "");
    CHECK(child.exited_with(0));
}

TEST_CASE("two contexts, one after the other and inside each other") {
    socket_pair s;
    int got = 0;
    for (int i = 0; i != 3; ++i) {
        together(
            [&] {
                char c;
                got += ::read(s.a, &c, 1) == 1;
            },
            [&] { CHECK(::write(s.b, "x", 1) == 1); });
    }
    CHECK(got == 3);
    asio::io_context first(1), second(1);
    int ended = 0;
    for (asio::io_context* const context : {&first, &second}) {
        spawn(*context, on_portal([&] {
            char c;
            CHECK(::read(s.a, &c, 1) == 1);
            ++ended;
        }));
    }
    poll_all(first);
    poll_all(second);
    CHECK(::write(s.b, "xy", 2) == 2);
    run_all(first);
    run_all(second);
    CHECK(ended == 2);
}

TEST_CASE("a library's own event loop, run on a portal, runs as it would anywhere") {
    int order = 0;
    awaits_since const awaits;
    together([&] {
        asio::io_context own(1);
        asio::steady_timer timer(own, std::chrono::milliseconds(5));
        timer.async_wait([&](auto) { ++order; });
        run_all(own);
        CHECK(order == 1);
    });
}

TEST_CASE("portals on the threads of a pool") {
    constexpr int pairs = 8, turns = sanitized ? 200 : 2000;
    asio::thread_pool pool(4);
    std::atomic<int> failures{0}, ended{0};
    std::vector<std::unique_ptr<socket_pair>> sockets;
    auto const bounce = [&](int fd, bool begins) {
        return [&, fd, begins] {
            char c = 0;
            for (int i = 0; i != turns; ++i) {
                if (begins && ::write(fd, "x", 1) != 1)
                    ++failures;
                if (::read(fd, &c, 1) != 1)
                    ++failures;
                if (!begins && ::write(fd, "x", 1) != 1)
                    ++failures;
            }
            ++ended;
        };
    };
    for (int i = 0; i != pairs; ++i) {
        socket_pair const& s = *sockets.emplace_back(std::make_unique<socket_pair>());
        asio::co_spawn(pool, on_portal(bounce(s.a, true)), asio::detached);
        if (i % 2)
            asio::co_spawn(asio::make_strand(pool), on_portal(bounce(s.b, false)), asio::detached);
        else
            asio::co_spawn(pool, on_portal(bounce(s.b, false)), asio::detached);
    }
    pool.join();
    CHECK(failures == 0);
    CHECK(ended == 2 * pairs);
}

TEST_CASE("portals in a strand never run at the same time, though they wait") {
    asio::thread_pool pool(4);
    auto const strand = asio::make_strand(pool);
    std::atomic<int> failures{0};
    int counter = 0; // the strand guards it
    constexpr int tasks = 20, turns = 50;
    std::atomic<int> inside{0};
    for (int i = 0; i != tasks; ++i) {
        asio::co_spawn(strand, on_portal([&] {
                           for (int turn = 0; turn != turns; ++turn) {
                               if (inside.fetch_add(1) != 0)
                                   ++failures;
                               ++counter;
                               inside.fetch_sub(1);
                               ::usleep(10);
                           }
                       }),
                       asio::detached);
    }
    pool.join();
    CHECK(failures == 0);
    CHECK(counter == tasks * turns);
}

TEST_CASE("a dump of portals shows one that waits in a blocking call") {
    asio::io_context context(1);
    socket_pair s;
    spawn(context, on_portal([&] {
              greenback::label_portal("the reader");
              char c;
              CHECK(::read(s.a, &c, 1) == 1);
          }));
    poll_all(context);
    std::ostringstream dump;
    greenback::dump_portals(dump);
    CHECK_THAT(dump.str(), has_text("the reader"));
    CHECK_THAT(dump.str(), has_text("last wait in read"));
    CHECK_THAT(dump.str(), has_text("suspended"));
    CHECK(::write(s.b, "x", 1) == 1);
    run_all(context);
}

TEST_CASE("the contexts of waiting portals go away in any state") {
    socket_pair s, other;
    for (int i = 0; i != 3; ++i) {
        int failed = 0;
        {
            asio::io_context context(1);
            for (int j = 0; j != 5; ++j) {
                spawn(context, on_portal([&] {
                          char c;
                          pollfd p[] = {{s.a, POLLIN, 0}, {other.a, POLLIN, 0}};
                          failed += failed_with(::poll(p, 2, 10'000'000), ECANCELED);
                          failed += failed_with(::read(s.a, &c, 1), ECANCELED);
                          failed += ::sleep(1) == 1;
                      }));
            }
            poll_all(context);
            if (i == 1)
                CHECK(::write(s.b, "x", 1) == 1); // told of, but nobody runs
        }
        CHECK(failed >= (i == 1 ? 11 : 15));
        char c;
        if (i == 1)
            ::recv(s.a, &c, 1, MSG_DONTWAIT);
    }
}
