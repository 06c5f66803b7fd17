// SPDX-License-Identifier: MIT
// stats(): what it counts, and that it comes back to zero.

#include "support/asio.hpp"
#include "support/catch.hpp"

#include <greenback/diagnostics.hpp>

#include <boost/context/fixedsize_stack.hpp>

using greenback::await_;
using greenback::stats;
using greenback::use_portal;

TEST_CASE("a portal is live while its function runs, and suspended while that waits", "[stats]") {
    REQUIRE(stats().live == 0);
    asio::io_context context;
    test::gate opened(context);
    std::size_t live_inside = 0, suspended_inside = 99;
    const auto function = [&] {
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

TEST_CASE("portals on stacks of other allocators are counted too", "[stats]") {
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

TEST_CASE("an idle portal object is not live", "[stats]") {
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

TEST_CASE("a stack that a portal has left is cached, and used for the next one", "[stats]") {
    const auto once = [] { test::run_task(greenback::with_portal_run_sync([] { asio::post(await_(asio::this_coro::executor), use_portal); })); };
    once();
    const auto cached = stats().stacks_cached;
    CHECK(cached > 0);
    for (int i = 0; i < 100; ++i)
        once();
    CHECK(stats().stacks_cached == cached);
}

TEST_CASE("task-wide portals are counted from their start to their end", "[stats]") {
    const auto how = GENERATE(TEST_EVERY_KIND);
    CAPTURE(how);
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
