// SPDX-License-Identifier: MIT
//
// Other threads, and tasks that go on in other threads.
#include "blocking_calls/ordinary_library.hpp"
#include "blocking_calls/support.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/sanitizers.hpp"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <poll.h>
#include <pthread.h>

using namespace test;

namespace {

/// Opaque: code that goes on on another thread may have kept where errno was.
[[gnu::noinline]] int error_number() {
    asm volatile("" : : : "memory");
    return ordinary_library::error_number();
}

} // namespace

TEST_CASE("calls of other threads block as ever") {
    socket_pair s, other;
    std::atomic<ssize_t> in_thread{-2};
    awaits_since const awaits;
    std::thread thread([&] {
        char c;
        in_thread = ::read(other.a, &c, 1);
    });
    together(
        [&] {
            char c;
            CHECK(::read(s.a, &c, 1) == 1);
        },
        [&] {
            CHECK(::write(s.b, "x", 1) == 1);
            CHECK(in_thread == -2);
        });
    auto const before = awaits.count();
    CHECK(::write(other.b, "y", 1) == 1);
    thread.join();
    CHECK(in_thread == 1);
    CHECK(awaits.count() == before);
}

TEST_CASE("a thread and a portal wait for one descriptor") {
    socket_pair s;
    std::atomic<int> got{0};
    std::thread thread([&] {
        char c;
        got += ::read(s.a, &c, 1) == 1;
    });
    together(
        [&] {
            char c;
            got += ::read(s.a, &c, 1) == 1;
        },
        [&] { CHECK(::write(s.b, "xy", 2) == 2); });
    thread.join();
    CHECK(got == 2);
}

TEST_CASE("a library with descriptors that do not block is right on several threads") {
    constexpr int pairs = 8, turns = sanitized ? 100 : 1000;
    std::vector<std::unique_ptr<socket_pair>> sockets;
    std::atomic<int> failures{0}, ended{0};
    asio::thread_pool pool(2);
    for (int i = 0; i != pairs; ++i) {
        socket_pair const& s = *sockets.emplace_back(std::make_unique<socket_pair>());
        ::fcntl(s.a, F_SETFL, O_NONBLOCK);
        ::fcntl(s.b, F_SETFL, O_NONBLOCK);
        for (int const fd : {s.a, s.b}) {
            bool const begins = fd == s.a;
            asio::co_spawn(pool, on_portal([&, fd, begins] {
                               char c = 'x';
                               for (int turn = 0; turn != turns; ++turn) {
                                   if (begins)
                                       failures += ::write(fd, &c, 1) != 1;
                                   failures += ordinary_library::read_by_poll(fd, &c, 1) != 1;
                                   if (!begins)
                                       failures += ::write(fd, &c, 1) != 1;
                               }
                               ++ended;
                           }),
                           asio::detached);
        }
    }
    pool.join();
    CHECK(failures == 0);
    CHECK(ended == 2 * pairs);
}

TEST_CASE("errno after a wait is that of the thread on which the task goes on") {
    constexpr int tasks = 16, turns = sanitized ? 20 : 200;
    std::atomic<int> failures{0}, ended{0};
    asio::thread_pool pool(2);
    for (int i = 0; i != tasks; ++i) {
        asio::co_spawn(pool, on_portal([&] {
                           socket_pair s;
                           set_timeout(s.a, SO_RCVTIMEO, 1);
                           for (int turn = 0; turn != turns; ++turn) {
                               char c;
                               if (::read(s.a, &c, 1) != -1 || error_number() != EAGAIN)
                                   ++failures;
                           }
                           ++ended;
                       }),
                       asio::detached);
    }
    pool.join();
    CHECK(failures == 0);
    CHECK(ended == tasks);
}

TEST_CASE("with one thread to a context, errno is right in any library") {
    std::vector<std::thread> threads;
    std::atomic<int> failures{0};
    for (int t = 0; t != 2; ++t) {
        threads.emplace_back([&] {
            asio::io_context context(1);
            for (int i = 0; i != 10; ++i) {
                spawn(context, on_portal([&] {
                          socket_pair s;
                          set_timeout(s.a, SO_RCVTIMEO, 1);
                          for (int turn = 0; turn != 20; ++turn) {
                              char c;
                              failures += ordinary_library::error_of_blocking_read(s.a, &c, 1) != EAGAIN;
                          }
                      }));
            }
            run_all(context);
        });
    }
    for (std::thread& t : threads)
        t.join();
    CHECK(failures == 0);
}

TEST_CASE("pthread_cancel ends a blocking call off every portal") {
#if defined(TEST_UNDER_TSAN) && defined(__clang__)
    WARN("skipped: the sanitizer's read() does not let the cancellation through");
    return;
#endif
    outcome const child = in_child([] {
        static socket_pair s;
        pthread_t thread;
        if (::pthread_create(
                &thread, nullptr,
                [](void*) -> void* {
                    char c;
                    auto const n = ::read(s.a, &c, 1);
                    (void)n;
                    return nullptr;
                },
                nullptr) != 0)
            return 1;
        ::usleep(20'000); // whether it is in the call by then, or not yet, the result is the same
        void* result = nullptr;
        ::pthread_cancel(thread);
        ::pthread_join(thread, &result);
        return result == PTHREAD_CANCELED ? 0 : 2;
    });
    CHECK(child.said == "");
    CHECK(child.exited_with(0));
}

TEST_CASE("a task is cancelled from another thread, again and again") {
    constexpr int times = sanitized ? 200 : 2000;
    asio::thread_pool pool(2);
    std::atomic<int> ended{0};
    for (int i = 0; i != times; ++i) {
        auto const strand = asio::make_strand(pool);
        auto signal = std::make_shared<asio::cancellation_signal>();
        asio::co_spawn(strand, on_portal([] { ::sleep(100); }),
                       asio::bind_cancellation_slot(signal->slot(), [&, signal](std::exception_ptr) { ++ended; }));
        asio::post(strand, [signal] { signal->emit(asio::cancellation_type::terminal); });
    }
    pool.join();
    CHECK(ended == times);
}
