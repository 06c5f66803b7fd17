// SPDX-License-Identifier: MIT
//
// What each of these tests does with its library: many calls at once on one thread, a call whose task is cancelled, and
// one whose task is destroyed.
//
// The library's handles are owned by objects with destructors, on the portal: whether a task is cancelled or destroyed,
// the call fails, the function goes on or is left by an exception, and the handle is given back.
#pragma once

#include "support/asio.hpp"
#include "support/catch.hpp"
#include "support/event_loop.hpp"
#include "support/tasks.hpp"

#include <greenback/blocking_calls.hpp>

#include <chrono>
#include <exception>
#include <functional>
#include <memory>

namespace test {

/// A handle of a C library's, given back by `Release`.
template <auto Release> struct releases {
    template <class T> void operator()(T* handle) const noexcept { Release(handle); }
};
template <class T, auto Release> using handle = std::unique_ptr<T, releases<Release>>;

inline constexpr int at_once = 100;
/// How long the server makes each of them wait.
inline constexpr std::chrono::milliseconds each_waits(300);

/// Calls `f` on `at_once` portals of one thread. Each call waits for `each_waits`, so one after another they would take
/// 30 seconds. A timer that fires every 10 ms meanwhile shows that the event loop is not held up.
template <class F> void check_that_they_wait_together(F f) {
    auto const awaited_before = greenback::blocking_calls_awaited();
    asio::io_context context(1);
    asio::steady_timer timer(context);
    int left = at_once;
    int beats = 0;
    std::function<void()> const beat = [&] {
        timer.expires_after(std::chrono::milliseconds(10));
        timer.async_wait([&](error_code const& ec) {
            if (ec || left == 0)
                return;
            ++beats;
            beat();
        });
    };
    beat();
    for (int i = 0; i < at_once; ++i)
        greenback::spawn(
            context,
            [&] {
                f();
                if (--left == 0)
                    timer.cancel();
            },
            greenback::rethrow);
    auto const start = std::chrono::steady_clock::now();
    run_all(context);
    auto const took = std::chrono::steady_clock::now() - start;
    INFO("took " << std::chrono::duration_cast<std::chrono::milliseconds>(took).count() << " ms, " << beats
                 << " beats");
    CHECK(left == 0);
    CHECK(took >= each_waits);
    CHECK(took < at_once * each_waits / 3);
    CHECK(beats >= 5);
    CHECK(greenback::blocking_calls_awaited() - awaited_before >= at_once);
    CHECK(greenback::stats().live == 0);
}

/// Calls `f` on a portal.
template <class F> void on_portal(F f) {
    asio::io_context context(1);
    run_task(context, context, greenback::with_portal_run_sync(std::move(f)));
}

/// Calls `f` on a portal, and cancels the task when `waiting()`: the task has come to the call, and it waits there, since
/// the event loop goes on.
template <class F, class Waiting> void on_portal_cancelled_when(Waiting waiting, F f) {
    asio::io_context context(1);
    asio::cancellation_signal signal;
    asio::steady_timer timer(context);
    bool over = false;
    bool cancelled = false;
    std::exception_ptr error;
    greenback::spawn(context, std::move(f), asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e) {
                         over = true;
                         error = std::move(e);
                         timer.cancel();
                     }));
    std::function<void()> const watch = [&] {
        timer.expires_after(std::chrono::milliseconds(10));
        timer.async_wait([&](error_code const&) {
            if (over)
                return;
            if (!waiting())
                return watch();
            cancelled = true;
            signal.emit(asio::cancellation_type::terminal);
        });
    };
    watch();
    run_all(context);
    CHECK(cancelled);
    REQUIRE(over);
    if (error)
        std::rethrow_exception(error);
}

/// Calls `f` on a portal, and destroys the event loop, the task with it, when `waiting()`.
template <class F, class Waiting> void on_portal_destroyed_when(Waiting waiting, F f) {
    auto const start = std::chrono::steady_clock::now();
    {
        asio::io_context context(1);
        greenback::spawn(context, std::move(f), greenback::rethrow);
        while (!waiting()) {
            if (std::chrono::steady_clock::now() - start > hang_guard)
                throw hung();
            context.run_one_for(std::chrono::milliseconds(10));
        }
        context.poll();
        REQUIRE(greenback::stats().live == 1);
    }
    CHECK(greenback::stats().live == 0);
}

} // namespace test
