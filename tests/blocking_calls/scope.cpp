// SPDX-License-Identifier: MIT
//
// Where calls stay the plain ones, and what counts them.
#include "blocking_calls/support.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/every_kind.hpp"

#include <greenback/no_await_scope.hpp>

#include <poll.h>

using namespace test;

TEST_CASE("calls await in every kind of portal") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    socket_pair s;
    awaits_since const awaits;
    asio::io_context context(1);
    char c = 0;
    spawn(context, in_portal(how, [&] { CHECK(::read(s.a, &c, 1) == 1); }));
    spawn(context, in_portal(how, [&] { CHECK(::write(s.b, "x", 1) == 1); }));
    run_all(context);
    CHECK(awaits.count() > 0);
    CHECK(c == 'x');
}

TEST_CASE("off every portal, calls are plain") {
    socket_pair s;
    awaits_since const awaits;
    pollfd p{s.a, POLLIN, 0};
    CHECK(::poll(&p, 1, 1) == 0);
    CHECK(::usleep(1) == 0);
    set_timeout(s.a, SO_RCVTIMEO, 1);
    char c;
    CHECK(failed_with(::read(s.a, &c, 1), EAGAIN));
    CHECK(awaits.count() == 0);
}

TEST_CASE("in a coroutine without a portal, calls are plain") {
    awaits_since const awaits;
    run_task([]() -> asio::awaitable<void> {
        ::usleep(1);
        co_await yield_now();
        ::usleep(1);
    }());
    CHECK(awaits.count() == 0);
}

TEST_CASE("inside a no_await_scope, calls are plain") {
    awaits_since const awaits;
    bool other_has_run = false;
    together(
        [&] {
            {
                greenback::no_await_scope const scope("no awaits here");
                CHECK(::usleep(1000) == 0);
                pollfd nothing{-1, POLLIN, 0};
                CHECK(::poll(&nothing, 1, 1) == 0);
                CHECK(awaits.count() == 0);
                CHECK(!other_has_run);
            }
            CHECK(::usleep(1000) == 0);
            CHECK(awaits.count() == 1);
            CHECK(other_has_run);
        },
        [&] { other_has_run = true; });
}

TEST_CASE("in a handler that an operation calls while it is initiated, and on the task's stack, calls are plain") {
    awaits_since const awaits;
    together([&] {
        greenback::on_task_stack([&] { CHECK(::usleep(1) == 0); });
        CHECK(awaits.count() == 0);
        asio::dispatch(greenback::await_(asio::this_coro::executor), [] { ::usleep(1); });
    });
}

TEST_CASE("blocking_calls_awaited counts waits") {
    together([] {
        auto const before = greenback::blocking_calls_awaited();
        ::usleep(1);
        ::usleep(1);
        CHECK(greenback::blocking_calls_awaited() == before + 2);
    });
}
