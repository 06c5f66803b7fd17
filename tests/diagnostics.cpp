// SPDX-License-Identifier: MIT
// greenback/diagnostics.hpp: what stats() counts, and that it comes back to zero.

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/event_loop.hpp"
#include "support/every_kind.hpp"
#include "support/sanitizers.hpp"
#include "support/tasks.hpp"

#include <greenback/diagnostics.hpp>

#include <boost/context/fiber.hpp>
#include <boost/context/fixedsize_stack.hpp>

#include <atomic>
#include <thread>
#include <vector>

using greenback::await_;
using greenback::stats;
using greenback::use_portal;

TEST_CASE("a portal is live while its function runs, and suspended while that waits", "[diagnostics]") {
    REQUIRE(stats().live == 0);
    asio::io_context context;
    test::gate opened(context);
    std::size_t live_inside = 0, suspended_inside = 99;
    auto const function = [&] {
        live_inside = stats().live;
        suspended_inside = stats().suspended;
        await_(opened.wait());
    };
    test::spawn(context, greenback::with_portal_run_sync(function));
    CHECK(stats().live == 0); // it takes its stack when it starts
    test::poll_all(context);
    CHECK(live_inside == 1);
    CHECK(suspended_inside == 0);
    CHECK(stats().live == 1);
    CHECK(stats().suspended == 1);
    opened.open();
    test::run_all(context);
    CHECK(stats().live == 0);
    CHECK(stats().suspended == 0);
}

TEST_CASE("portals on stacks of other allocators are counted too", "[diagnostics]") {
    asio::io_context context;
    test::gate opened(context);
    for (int i = 0; i < 3; ++i)
        test::spawn(context, greenback::with_portal_run_sync(std::allocator_arg, boost::context::fixedsize_stack(),
                                                             [&] { await_(opened.wait()); }));
    test::poll_all(context);
    CHECK(stats().live == 3);
    CHECK(stats().suspended == 3);
    opened.open();
    test::run_all(context);
    CHECK(stats().live == 0);
}

TEST_CASE("a portal on a stack that was asked for by size counts once", "[diagnostics]") {
    asio::io_context context;
    test::gate opened(context);
    for (std::size_t const kib : {16u, 64u, 1024u})
        test::spawn(context, greenback::with_portal_run_sync(std::allocator_arg, greenback::pooled_stack(kib * 1024),
                                                             [&] { await_(opened.wait()); }));
    test::poll_all(context);
    CHECK(stats().live == 3);
    CHECK(stats().suspended == 3);
    opened.open();
    test::run_all(context);
    CHECK(stats().live == 0);
}

TEST_CASE("a portal is suspended while code on somebody else's fiber awaits in it", "[diagnostics]") {
#if defined(TEST_UNDER_ASAN) || defined(TEST_UNDER_TSAN)
    WARN("skipped: a sanitizer has to be told of the other library's switches by that library");
#else
    asio::io_context context;
    test::gate opened(context);
    std::size_t suspended_inside = 99;
    int result = 0;
    auto const generator = [&] {
        namespace ctx = boost::context;
        ctx::fiber other(std::allocator_arg, ctx::fixedsize_stack(128 * 1024), [&](ctx::fiber&& back) {
            suspended_inside = stats().suspended;
            await_(opened.wait());
            asio::post(context, use_portal);
            result = await_(test::value_of(1, true));
            return std::move(back);
        });
        other = std::move(other).resume();
        result += await_(test::value_of(2, true));
    };
    test::spawn(context, greenback::with_portal_run_sync(generator));
    test::poll_all(context);
    CHECK(suspended_inside == 0);
    CHECK(stats().live == 1);
    CHECK(stats().suspended == 1);
    opened.open();
    test::run_all(context);
    CHECK(result == 3);
    CHECK(stats().live == 0);
#endif
}

TEST_CASE("stats may look while other threads make, resume and end portals", "[diagnostics]") {
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    auto const waits = [] { asio::post(await_(asio::this_coro::executor), use_portal); };
    for (int t = 0; t != 2; ++t)
        threads.emplace_back([&] {
            for (int round = 0; !stop; ++round) {
                asio::io_context context(1);
                for (int i = 0; i != 20; ++i) {
                    test::spawn(context, greenback::with_portal_run_sync(waits));
                    test::spawn(context, greenback::with_portal_run_sync(
                                             std::allocator_arg, boost::context::fixedsize_stack(64 * 1024), waits));
                    test::spawn(context, greenback::with_portal_run_sync(std::allocator_arg,
                                                                         greenback::pooled_stack(64 * 1024), waits));
                }
                context.run();
                greenback::default_stack_size(round % 2 ? 0
                                                        : 128 * 1024); // what is cached goes back, and new ones come
            }
        });
    std::size_t most = 0;
    for (int i = 0; i != 2000; ++i) {
        most = std::max(most, stats().live);
        std::this_thread::yield();
    }
    stop = true;
    for (std::thread& t : threads)
        t.join();
    greenback::default_stack_size(0);
    CHECK(most <= 2 * 60);
    CHECK(stats().live == 0);
}

TEST_CASE("a forked child can use portals, whatever other threads were doing", "[diagnostics]") {
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    auto const portals = [](int n) {
        auto const waits = [] { asio::post(await_(asio::this_coro::executor), use_portal); };
        asio::io_context context(1);
        for (int i = 0; i != n; ++i) {
            test::spawn(context, greenback::with_portal_run_sync(waits));
            test::spawn(context,
                        greenback::with_portal_run_sync(std::allocator_arg, boost::context::fixedsize_stack(), waits));
        }
        context.run();
    };
    // ThreadSanitizer refuses to go on in the child of a process with several threads; AddressSanitizer's allocator has
    // locks of its own that a fork may find taken.
#if !defined(TEST_UNDER_TSAN) && !defined(TEST_UNDER_ASAN)
    threads.emplace_back([&] {
        while (!stop)
            stats();
    });
    threads.emplace_back([&] {
        while (!stop)
            portals(3);
    });
    threads.emplace_back([&] { // whose operations keep their memory for too long, so that fibers have to wait
        while (!stop) {
            asio::io_context context(1);
            std::vector<std::shared_ptr<int>> kept;
            greenback::default_stack_size(0); // no thread may keep what it has: all go to the shared lists
            for (int i = 0; i != 3; ++i)
                test::spawn(context, greenback::with_portal_run_sync([&] {
                                asio::async_initiate<greenback::use_portal_t const&, void()>(
                                    [&](auto handler) {
                                        kept.push_back(
                                            std::allocate_shared<int>(asio::get_associated_allocator(handler), 1));
                                        asio::post(context, std::move(handler));
                                    },
                                    use_portal);
                            }));
            context.run();
            portals(3);
        }
    });
#endif
    for (int i = 0; i != 60; ++i) {
        test::outcome const result = test::in_child([&] {
            portals(20);
            stats();
            return 0;
        });
        CAPTURE(i, result.status, result.said);
        REQUIRE(result.exited_with(0));
    }
    stop = true;
    for (std::thread& t : threads)
        t.join();
}

TEST_CASE("an idle portal object is not live", "[diagnostics]") {
    test::run_task([]() -> asio::awaitable<void> {
        greenback::portal p;
        CHECK(stats().live == 0);
        std::size_t inside = 0;
        co_await p.run([&] { inside = stats().live; });
        CHECK(inside == 1);
        CHECK(stats().live == 0);
        co_await p.run([&] { inside = stats().live; });
        CHECK(inside == 1);
        CHECK(stats().live == 0);
    }());
}

TEST_CASE("a stack that a portal has left is cached, and used for the next one", "[diagnostics]") {
    auto const once = [] {
        test::run_task(
            greenback::with_portal_run_sync([] { asio::post(await_(asio::this_coro::executor), use_portal); }));
    };
    once();
    auto const cached = stats().stacks_cached;
    CHECK(cached > 0);
    for (int i = 0; i < 100; ++i)
        once();
    CHECK(stats().stacks_cached == cached);
}

TEST_CASE("task-wide portals are counted from their start to their end", "[diagnostics]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    {
        asio::io_context context;
        test::spawn(context, test::in_portal(how, [] { await_(test::forever()); }));
        CHECK(stats().live == 0);
        test::poll_all(context);
        CHECK(stats().live == 1);
        CHECK(stats().suspended == 1);
    }
    CHECK(stats().live == 0);
}
