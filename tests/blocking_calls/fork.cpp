// SPDX-License-Identifier: MIT
//
// Processes that fork: on a portal, beside one, and while other threads are in the middle of calls.
#include "blocking_calls/support.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/sanitizers.hpp"
#include "support/system.hpp"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>

using namespace test;

TEST_CASE("a child that is made on a portal makes plain calls, and runs none of its parent's tasks") {
    socket_pair s;
    int other = 0; // in the child, this must stay as it was
    outcome child;
    together(
        [&] {
            child = in_child([&] {
                int const before = other;
                auto const awaited = greenback::blocking_calls_awaited();
                ::usleep(20'000);
                pipe_ends p;
                char c;
                if (::write(p.b, "c", 1) != 1 || ::read(p.a, &c, 1) != 1)
                    return 1;
                pollfd nothing{s.a, POLLIN, 0};
                if (::poll(&nothing, 1, 20) != 0)
                    return 2;
                if (other != before)
                    return 3;
                return greenback::blocking_calls_awaited() == awaited ? 0 : 4;
            });
        },
        [&] {
            for (int i = 0; i != 20; ++i) {
                ++other;
                ::usleep(1000);
            }
        });
    CHECK(child.said == "");
    CHECK(child.exited_with(0));
    CHECK(other == 20);
}

TEST_CASE("a child that is made on a portal may have a context of its own, whose tasks await") {
    outcome child;
    together([&] {
        child = in_child([] {
            auto const awaited = greenback::blocking_calls_awaited();
            socket_pair s;
            int got = 0;
            together(
                [&] {
                    char c;
                    got += ::read(s.a, &c, 1) == 1;
                },
                [&] {
                    ::usleep(1000);
                    got += ::write(s.b, "x", 1) == 1;
                });
            return got == 2 && greenback::blocking_calls_awaited() >= awaited + 2 ? 0 : 1;
        });
    });
    CHECK(child.said == "");
    CHECK(child.exited_with(0));
}

TEST_CASE("programs that are run from a portal") {
    together([] {
        FILE* const hi = ::popen("sleep 0.01; echo hi", "r");
        char text[10] = {};
        CHECK(std::fgets(text, sizeof text, hi) != nullptr);
        CHECK(std::string(text) == "hi\n");
        CHECK(::pclose(hi) == 0);
        CHECK(std::system("true") == 0);
    });
}

TEST_CASE("a context that is told of the fork goes on in the child, with what waits in it") {
#if defined(TEST_UNDER_TSAN)
    WARN("skipped: in a child ThreadSanitizer doesn't see what the thread does, but sees what its fibers do");
    return;
#endif
    socket_pair s, from_child;
    asio::io_context context(1);
    std::string got;
    int slept = 0;
    spawn(context, on_portal([&] {
              char c;
              while (got.size() != 2 && ::read(s.a, &c, 1) == 1)
                  got += c;
          }));
    spawn(context, on_portal([&] {
              ::usleep(20'000);
              ++slept;
          }));
    poll_all(context);
    context.notify_fork(asio::execution_context::fork_prepare);
    outcome const child = in_child([&] {
        context.notify_fork(asio::execution_context::fork_child);
        // The parent does not run meanwhile, so what is written is read here.
        if (::write(s.b, "c", 1) != 1)
            return 1;
        context.restart();
        while (got.empty() || slept == 0)
            context.run_one_for(hang_guard);
        if (got != "c")
            return 2;
        // Descriptors that are new in the child.
        socket_pair mine;
        bool done = false;
        spawn(context, on_portal([&] {
                  char c;
                  done = ::read(mine.a, &c, 1) == 1;
              }));
        spawn(context, on_portal([&] {
                  auto const written = ::write(mine.b, "x", 1);
                  (void)written;
              }));
        while (!done)
            context.run_one_for(hang_guard);
        return ::write(s.b, "d", 1) == 1 ? (run_all(context), got == "cd" ? 0 : 4) : 3;
    });
    CHECK(child.said == "");
    CHECK(child.exited_with(0));
    context.notify_fork(asio::execution_context::fork_parent);
    CHECK(got.empty());
    CHECK(::write(s.b, "pq", 2) == 2);
    run_all(context);
    CHECK(got == "pq");
    CHECK(slept == 1);
}

TEST_CASE("a child is made while other threads connect, accept and look up names") {
    if (!starts_threads_in_children() || sanitized) {
        WARN("skipped: in such a child an emulator may crash, and a sanitizer's own locks stay locked");
        return;
    }
    asio::thread_pool pool(3);
    std::atomic<bool> enough{false};
    int const listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    auto* const address = reinterpret_cast<sockaddr*>(&at);
    REQUIRE(::bind(listener, address, size) == 0);
    REQUIRE(::listen(listener, 100) == 0);
    REQUIRE(::getsockname(listener, address, &size) == 0);
    set_timeout(listener, SO_RCVTIMEO, 100);
    asio::co_spawn(pool, on_portal([&] {
                       while (!enough) {
                           int const fd = ::accept(listener, nullptr, nullptr);
                           if (fd >= 0)
                               ::close(fd);
                       }
                   }),
                   asio::detached);
    asio::co_spawn(pool, on_portal([&] {
                       while (!enough) {
                           int const fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
                           auto const connected = ::connect(fd, address, size);
                           (void)connected;
                           ::close(fd);
                       }
                   }),
                   asio::detached);
    asio::co_spawn(pool, on_portal([&] {
                       while (!enough) {
                           addrinfo* found = nullptr;
                           if (::getaddrinfo("localhost", "80", nullptr, &found) == 0)
                               ::freeaddrinfo(found);
                       }
                   }),
                   asio::detached);
    int good = 0;
    constexpr int children = 40;
    for (int i = 0; i != children; ++i) {
        outcome const child = in_child([&] {
            int ended = 0;
            int const own = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            sockaddr_in there{};
            there.sin_family = AF_INET;
            there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            socklen_t n = sizeof there;
            auto* const a = reinterpret_cast<sockaddr*>(&there);
            if (::bind(own, a, n) != 0 || ::listen(own, 1) != 0 || ::getsockname(own, a, &n) != 0)
                return 1;
            together([&] { ended += ::accept(own, nullptr, nullptr) >= 0; },
                     [&] {
                         int const fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
                         ended += ::connect(fd, a, n) == 0;
                     });
            // No lookup: a lock of glibc's own may be held for good in here, even for that of a number.
            return ended == 2 ? 0 : 2;
        });
        good += child.exited_with(0);
    }
    CHECK(good == children);
    enough = true;
    pool.join();
    ::close(listener);
}

TEST_CASE("a child looks names up with threads of its own") {
    if (!starts_threads_in_children()) {
        WARN("skipped: an emulator may crash in such a child");
        return;
    }
    auto const look_up = [] {
        int result = -1;
        together([&] {
            addrinfo* found = nullptr;
            result = ::getaddrinfo("localhost", "80", nullptr, &found);
            if (result == 0)
                ::freeaddrinfo(found);
        });
        return result;
    };
    CHECK(look_up() == 0);
#if !defined(TEST_UNDER_TSAN) // which does not allow threads in the child of several
    outcome const child = in_child(look_up);
    CHECK(child.said == "");
    CHECK(child.exited_with(0));
#endif
}
