// SPDX-License-Identifier: MIT
//
// Programs as synchronous functions on a portal.
#pragma once

#include "stress/mixed.hpp"

#include <greenback/diagnostics.hpp>

#include <chrono>
#include <memory>
#include <utility>

namespace stress {

inline void post_sync(asio::any_io_executor const& ex, unsigned how) {
    switch (how % 4) {
    case 0: return asio::post(ex, use_portal);
    case 1: return await_(asio::post(ex, use_awaitable));
    case 2: return await_(asio::post(ex, test::deferred));
    default: return await_(test::yield_now());
    }
}

// Waits for an operation that has a value.
template <class Start> auto wait_for(Start start, unsigned how) {
    switch (how % 3) {
    case 0: return start(use_portal);
    case 1: return await_(start(use_awaitable));
    default: return await_(start(test::deferred));
    }
}

inline void sleep_sync(task& t, asio::any_io_executor const& ex, node const& n, unsigned how) {
    if (manual_clock* const clock = t.all->clock)
        return wait_for([&](auto token) { return clock->async_wait(ex, ticks_of(n), token); }, how);
    asio::steady_timer timer(ex, std::chrono::milliseconds(n.value % 2));
    if (how % 2)
        timer.async_wait(use_portal);
    else
        await_(timer.async_wait(test::deferred));
}

// What the co_await of a coroutine for a node does first, for nodes that begin otherwise than by awaiting.
inline void check_cancelled() { await_(test::value_of(0, false)); }

[[noreturn]] inline void fail_sync(unsigned value, unsigned how) {
    check_cancelled();
    if (how % 3 == 0)
        fail(value);
    if (how % 3 == 1)
        greenback::on_task_stack([value] { fail(value); });
    greenback::exception_trap trap;
    trap.run([value] { fail(value); });
    trap.rethrow();
    std::terminate();
}

// What must make no difference to anything.
inline void look_around(task& t, node const& n) {
    if (n.choose(8, 13)) {
        greenback::no_await_scope const s("the program looks around");
        t.expect(!has_portal(), "nothing can be awaited in a no_await_scope");
        bool forbidden = false;
        try {
            await_(test::value_of(0, false));
        } catch (greenback::await_forbidden const&) {
            forbidden = true;
        }
        t.expect(forbidden, "await_forbidden in a no_await_scope");
    }
    if (n.choose(8, 15))
        t.expect(greenback::on_task_stack([&] { return n.value; }) == n.value, "the result of on_task_stack");
    if (t.all->order && n.choose(16, 16)) {
        auto const seen = greenback::stats();
        t.expect(seen.live > seen.suspended, "a portal that runs");
    }
    t.expect_portal();
}

inline unsigned run_sync(task& t, node const& n) {
    counted const c;
    auto const again = std::make_unique<counted>(c); // what is lost on a stack that is not unwound, ASan sees
    t.expect_portal();
    auto const ex = await_(asio::this_coro::executor);
    look_around(t, n);
    auto const child = [&n](unsigned i) -> node const& { return n.children[i]; };
    unsigned const how = n.how >> 4;
    switch (n.what) {
    case op::yield: post_sync(ex, how); break;
    case op::sleep: sleep_sync(t, ex, n, how); break;
    case op::foreign: await_(foreign_awaiter{t, foreign_way(t, n.value), n.value}); break;
    case op::fail: fail_sync(n.value, how);
    case op::set_throw:
        check_cancelled();
        await_(asio::this_coro::throw_if_cancelled(n.value % 2 != 0));
        break;
    case op::reset:
        check_cancelled();
        switch (n.value % 4) {
        case 0: await_(asio::this_coro::reset_cancellation_state()); break;
        case 1: await_(asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation())); break;
        case 2: await_(asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation())); break;
        default: await_(asio::this_coro::reset_cancellation_state(asio::disable_cancellation())); break;
        }
        break;
    case op::lose:
        check_cancelled();
        t.note("lost");
        t.lose();
        wait_for([&](auto token) { return t.all->clock->async_lose(ex, ticks_of(n), token); }, how);
        break;
    case op::call: {
        unsigned const result = how % 3 ? await_(call_async(t, child(0), how / 3)) : run_sync(t, child(0));
        t.note("called", result);
        return result + 1;
    }
    case op::attempt:
        check_cancelled();
        try {
            return run_child(t, child(0));
        } catch (...) {
            unsigned const result = handle(t, child(1));
            if (n.value % 2)
                throw;
            return result;
        }
    case op::scope: {
        check_cancelled();
        awaiting_destructor const d(t, child(1));
        return run_child(t, child(0));
    }
    case op::sequence: {
        unsigned sum = 0;
        for (node const& each : n.children)
            sum = 31 * sum + run_child(t, each);
        t.note("sum", sum);
        return sum;
    }
    case op::spawn: {
        bool const own = n.value % 2;
        task& started = t.child(t.signal, own);
        join_log const join{t, started};
        auto const start = [&](auto token) { return asio::co_spawn(ex, mixed::start(t, started, child(0)), token); };
        if (!own)
            return wait_for(start, how);
        auto const slot = started.own_signal.slot();
        return how % 2 ? start(asio::bind_cancellation_slot(slot, use_portal))
                       : await_(start(asio::bind_cancellation_slot(slot, use_awaitable)));
    }
    case op::spawn_two: {
        task &a = t.child(nullptr, false), &b = t.child(nullptr, false);
        join_log const join_b{t, b}, join_a{t, a};
        auto both = two_tasks(ex, mixed::start(t, a, child(0)), mixed::start(t, b, child(1)));
        auto const start = [&](auto token) { return both.async_wait(asio::experimental::wait_for_all(), token); };
        return join_two(t, wait_for(start, how));
    }
    case op::either:
    case op::both: {
        task &a = t.child(signal_in_group(t, n), false), &b = t.child(signal_in_group(t, n), false);
        join_log const join_b{t, b}, join_a{t, a};
        auto start_a = mixed::start(t, a, child(0)), start_b = mixed::start(t, b, child(1));
        using namespace asio::experimental::awaitable_operators;
        if (n.what == op::either)
            return join_either(await_(std::move(start_a) || std::move(start_b)));
        return join_both(await_(std::move(start_a) && std::move(start_b)));
    }
    default: // the same everywhere
        return await_(run_plainly<mixed>(t, n));
    }
    return n.value;
}

} // namespace stress
