// SPDX-License-Identifier: MIT

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/event_loop.hpp"
#include "support/every_kind.hpp"
#include "support/sanitizers.hpp"
#include "support/tasks.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#if defined(TEST_UNDER_ASAN)
#include <sanitizer/asan_interface.h>
#endif

using greenback::await_;
using greenback::has_portal;
using greenback::on_task_stack;
using test::in_portal;
using test::run_task;
using test::value_of;
using test::yield_now;

namespace {

bool on_portal_stack() { return greenback::remaining_stack() != SIZE_MAX; }

/// Uses this many bytes of the stack, and more.
[[gnu::noinline]] std::size_t use_stack(std::size_t bytes) {
    char volatile page[1024];
    page[0] = static_cast<char>(bytes);
    if (bytes <= sizeof page)
        return 1;
    std::size_t const deeper = use_stack(bytes - sizeof page);
    page[1] = 0; // keeps it alive
    return 1 + deeper;
}

/// A compiler takes the thread's id for a constant of the function.
[[gnu::noinline]] std::thread::id this_thread() {
    asm volatile("" : : : "memory");
    return std::this_thread::get_id();
}

#if defined(TEST_UNDER_ASAN)
/// Of the caller's frame all but what a call needs lies above.
[[gnu::noinline]] char* real_frame() { return static_cast<char*>(__builtin_frame_address(0)) - 256; }
#endif

struct no_default {
    explicit no_default(int v) : value(v) {}
    no_default(no_default&&) = default;
    no_default& operator=(no_default&&) = delete;
    int value;
};

} // namespace

TEST_CASE("on_task_stack runs a function on a stack that is not the portal's", "[on_task_stack]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    run_task(in_portal(how, [] {
        for (int round = 0; round != 3; ++round) {
            CHECK(on_portal_stack());
            bool on_portal = true, portal = true;
            std::thread::id id;
            on_task_stack([&] {
                on_portal = on_portal_stack();
                portal = has_portal();
                id = this_thread();
            });
            CHECK(!on_portal);
            CHECK(!portal);
            CHECK(id == this_thread());
            CHECK(on_portal_stack());
            CHECK(has_portal());
            CHECK(on_task_stack([] { return use_stack(2 << 20); }) > 1000); // 2 MiB: four times the portal's
            await_(yield_now());
        }
    }));
}

TEST_CASE("on_task_stack returns whatever the function returns", "[on_task_stack]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    run_task(in_portal(how, [] {
        int n = 1;
        static_assert(std::is_same_v<decltype(on_task_stack([&]() -> int& { return n; })), int&>);
        CHECK(&on_task_stack([&]() -> int& { return n; }) == &n);
        static_assert(std::is_same_v<decltype(on_task_stack([&]() -> int&& { return std::move(n); })), int&&>);
        int&& moved = on_task_stack([&]() -> int&& { return std::move(n); });
        CHECK(&moved == &n);
        int const& constant = on_task_stack([&]() -> int const& { return n; });
        CHECK(&constant == &n);
        CHECK(*on_task_stack([p = std::make_unique<int>(5)]() mutable { return std::move(p); }) == 5);
        CHECK(on_task_stack([] { return no_default(7); }).value == 7);
        auto const move_only = [p = std::make_unique<int>(8)] { return *p; };
        CHECK(on_task_stack(move_only) == 8);
        struct only_rvalue {
            int operator()() && { return 9; }
        };
        CHECK(on_task_stack(only_rvalue()) == 9);
        on_task_stack([&] { n = 2; });
        CHECK(n == 2);
    }));
}

TEST_CASE("an exception leaves on_task_stack as what it is, and the function sees none of the caller's",
          "[on_task_stack]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    run_task(in_portal(how, [] {
        CHECK_THROWS_AS(on_task_stack([] { throw std::out_of_range("x"); }), std::out_of_range);
        try {
            throw std::runtime_error("caller's");
        } catch (...) {
            bool none = false;
            int uncaught = -1;
            on_task_stack([&] {
                none = !std::current_exception();
                uncaught = std::uncaught_exceptions();
                try {
                    throw 1;
                } catch (int) {
                }
            });
            CHECK(none);
            CHECK(uncaught == 0);
            CHECK_THROWS_AS(on_task_stack([] { throw std::out_of_range("x"); }), std::out_of_range);
            CHECK_THROWS_WITH(throw, "caller's");
            await_(yield_now());
            CHECK_THROWS_WITH(throw, "caller's");
        }
    }));
}

TEST_CASE("on_task_stack off every portal, and inside itself, is a plain call", "[on_task_stack]") {
    CHECK(on_task_stack([] { return 3; }) == 3);
    CHECK_THROWS_AS(on_task_stack([]() -> int { throw std::out_of_range("x"); }), std::out_of_range);
    run_task(greenback::with_portal_run_sync(
        [] { CHECK(on_task_stack([] { return on_task_stack([] { return on_portal_stack() ? 1 : 2; }); }) == 2); }));
}

TEST_CASE("awaiting in on_task_stack is refused", "[on_task_stack]") {
    run_task(greenback::with_portal_run_sync([] {
        await_(yield_now());
        CHECK_THROWS_AS(on_task_stack([] { await_(yield_now()); }), greenback::no_portal);
        await_(yield_now());
    }));
}

TEST_CASE("a million calls of on_task_stack leave nothing on any stack", "[on_task_stack]") {
    run_task(greenback::with_portal_run_sync([] {
        std::uintptr_t lowest = UINTPTR_MAX, highest = 0;
        int calls = 0;
        for (int i = 0; i != 1'000'000; ++i) {
            on_task_stack([&] {
                auto const here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
                lowest = std::min(lowest, here);
                highest = std::max(highest, here);
                ++calls;
            });
        }
        CHECK(calls == 1'000'000);
        CHECK(highest - lowest < 4096);
    }));
}

#if defined(TEST_UNDER_ASAN)
TEST_CASE("on_task_stack leaves nothing in AddressSanitizer's shadow of the task's stack", "[on_task_stack]") {
    asio::io_context context(1);
    char* there = nullptr;
    test::spawn(context, greenback::with_portal_run_sync([&] {
                    await_(yield_now());
                    for (int i = 0; i != 3; ++i)
                        on_task_stack([&] { there = static_cast<char*>(__builtin_frame_address(0)); });
                    await_(yield_now());
                }));
    test::run_all(context);
    REQUIRE(there);
    char* const here = real_frame();
    REQUIRE(there < here); // so whatever was there has returned
    CHECK(!__asan_region_is_poisoned(there - 1024, static_cast<std::size_t>(here - there)));
}
#endif

TEST_CASE("on_task_stack in a coroutine that runs on the fiber, before and after it suspends", "[on_task_stack]") {
    run_task([]() -> asio::awaitable<void> {
        co_await greenback::ensure_portal();
        CHECK(on_task_stack([] { return !on_portal_stack(); }));
        co_await yield_now();
        CHECK(on_task_stack([] { return !on_portal_stack(); }));
        await_([]() -> asio::awaitable<void> {
            CHECK(on_task_stack([] { return !on_portal_stack(); }));
            co_await yield_now();
            CHECK(on_task_stack([] { return !on_portal_stack(); }));
        }());
        asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::milliseconds(1));
        timer.async_wait(greenback::use_portal);
        CHECK(on_task_stack([] { return !on_portal_stack(); }));
        CHECK_THROWS_AS(on_task_stack([] { throw std::out_of_range("x"); }), std::out_of_range);
        timer.expires_after(std::chrono::milliseconds(1));
        timer.async_wait(greenback::use_portal);
    }());
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("on_task_stack while the task is being destroyed", "[on_task_stack]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    int calls = 0;
    bool off = true;
    {
        asio::io_context context(1);
        asio::co_spawn(context,
                       in_portal(how,
                                 [&] {
                                     struct at_the_end {
                                         int& calls;
                                         bool& off;
                                         ~at_the_end() {
                                             for (int i = 0; i != 3; ++i)
                                                 on_task_stack([&] {
                                                     off &= !on_portal_stack();
                                                     calls += std::uncaught_exceptions() == 0;
                                                 });
                                         }
                                     };
                                     at_the_end const one{calls, off};
                                     on_task_stack([] {});
                                     at_the_end const two{calls, off};
                                     await_(test::forever());
                                 }),
                       asio::detached);
        test::poll_all(context);
    }
    CHECK(calls == 6);
    CHECK(off);
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("what on_task_stack runs inline has no portal, and may run the event loop", "[on_task_stack]") {
    asio::io_context context(1);
    int awaited = 0;
    bool handler_had_portal = true;
    test::spawn(context, greenback::with_portal_run_sync([&] {
                    await_(yield_now());
                    test::spawn(context, greenback::with_portal_run_sync([&] {
                                    await_(yield_now());
                                    on_task_stack([&] { ++awaited; });
                                    await_(yield_now());
                                    ++awaited;
                                }));
                    asio::post(context, [&] { handler_had_portal = has_portal(); });
                    on_task_stack([&] {
                        while (awaited != 2)
                            context.poll_one();
                    });
                    CHECK(has_portal());
                    await_(yield_now());
                    ++awaited;
                }));
    test::run_all(context);
    CHECK(awaited == 3);
    CHECK(!handler_had_portal);
}

TEST_CASE("on_task_stack in a portal that another portal's code has resumed", "[on_task_stack]") {
    asio::io_context context(1);
    int done = 0;
    test::spawn(context, greenback::with_portal_run_sync([&] {
                    await_(yield_now());
                    asio::io_context inner(1);
                    test::spawn(inner, greenback::with_portal_run_sync([&] {
                                    on_task_stack([&] { done += !has_portal(); });
                                    await_(yield_now());
                                    on_task_stack([&] { done += !has_portal(); });
                                }));
                    inner.run();
                    on_task_stack([&] { done += !on_portal_stack(); });
                    await_(yield_now());
                }));
    test::run_all(context);
    CHECK(done == 3);
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("on_task_stack on several threads", "[on_task_stack]") {
    asio::thread_pool pool(4);
    std::atomic<int> calls{0};
    for (int task = 0; task != 8; ++task) {
        asio::co_spawn(pool, greenback::with_portal_run_sync([&] {
                           for (int i = 0; i != 500; ++i) {
                               auto const before = this_thread();
                               bool const same =
                                   on_task_stack([&] { return before == this_thread() && !on_portal_stack(); });
                               calls += same && before == this_thread();
                               asio::post(await_(asio::this_coro::executor), greenback::use_portal);
                           }
                       }),
                       greenback::rethrow);
    }
    pool.join();
    CHECK(calls == 4000);
}
