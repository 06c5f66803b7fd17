// SPDX-License-Identifier: MIT
//
// The model: programs as coroutines that know nothing of greenback, nothing but co_await.
#pragma once

#include "stress/foreign_awaiter.hpp"
#include "stress/program.hpp"
#include "stress/task.hpp"
#include "support/awaitables.hpp"

#include <exception>
#include <tuple>
#include <utility>
#include <variant>

namespace stress {

using asio::awaitable;
using asio::use_awaitable;

// What became of two tasks: the exception of the first that has one.
template <class Results> unsigned join_two(task& t, Results const& results) {
    auto const& [order, e1, value1, e2, value2] = results;
    for (auto const& e : {e1, e2})
        e ? t.note("one has", e) : t.note("one has no exception");
    for (auto const& e : {e1, e2})
        if (e)
            std::rethrow_exception(e);
    return 7 * value1 + value2;
}

inline unsigned join_either(std::variant<unsigned, unsigned> const& result) {
    return 2 * std::visit([](unsigned n) { return n; }, result) + static_cast<unsigned>(result.index());
}
inline unsigned join_both(std::tuple<unsigned, unsigned> const& results) {
    return 7 * std::get<0>(results) + std::get<1>(results);
}

template <class Executor> auto two_tasks(Executor const& ex, awaitable<unsigned> a, awaitable<unsigned> b) {
    return asio::experimental::make_parallel_group(asio::co_spawn(ex, std::move(a), test::deferred),
                                                   asio::co_spawn(ex, std::move(b), test::deferred));
}

inline awaitable<unsigned> either_task(awaitable<unsigned> a, awaitable<unsigned> b) {
    using namespace asio::experimental::awaitable_operators;
    co_return join_either(co_await (std::move(a) || std::move(b)));
}
inline awaitable<unsigned> both_tasks(awaitable<unsigned> a, awaitable<unsigned> b) {
    using namespace asio::experimental::awaitable_operators;
    co_return join_both(co_await (std::move(a) && std::move(b)));
}

inline unsigned ticks_of(node const& n) { return n.value % 4; }

/// The signal of a child of `||` and `&&`: to request cancellation of it is to request that of its parent, or nobody may.
inline asio::cancellation_signal* signal_in_group(task& t, node const& n) {
    return n.value % 4 == 0 ? t.signal : nullptr;
}

// Others use it, too, where they have no portal or do not care. `Other` runs the children.
template <class Other> awaitable<unsigned> run_plainly(task& t, node const& n) {
    counted const c;
    auto const ex = co_await asio::this_coro::executor;
    auto const child = [&n](unsigned i) -> node const& { return n.children[i]; };
    switch (n.what) {
    case op::value: t.note("value", n.value); break;
    case op::ready: co_return co_await test::value_of(n.value, false);
    case op::yield: co_await asio::post(ex, use_awaitable); break;
    case op::sleep:
        if (t.all->clock)
            co_await t.all->clock->async_wait(ex, ticks_of(n), use_awaitable);
        else
            co_await test::sleep_ms(static_cast<int>(n.value % 2));
        break;
    case op::foreign: { // which no cancellation reaches, and whose task goes on from a post
        foreign_way const way(t, n.value);
        if (way.how == foreign_way::resumes_inside_await_suspend)
            co_await asio::post(ex, use_awaitable);
        else if (way.how == foreign_way::resumes_later)
            co_await t.all->clock->async_wait(ex, way.ticks,
                                              asio::bind_cancellation_slot(asio::cancellation_slot(), use_awaitable));
        if (way.throws)
            fail(n.value);
        break;
    }
    case op::fail: fail(n.value);
    case op::cancel: t.cancel(n.value); break;
    case op::set_throw: co_await asio::this_coro::throw_if_cancelled(n.value % 2 != 0); break;
    case op::reset:
        switch (n.value % 4) {
        case 0: co_await asio::this_coro::reset_cancellation_state(); break;
        case 1: co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation()); break;
        case 2: co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation()); break;
        default: co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation()); break;
        }
        break;
    case op::state: {
        auto const state = co_await asio::this_coro::cancellation_state;
        bool const throws = co_await asio::this_coro::throw_if_cancelled();
        t.note("cancelled", 2 * static_cast<unsigned>(state.cancelled()) + throws);
        break;
    }
    case op::lose:
        t.note("lost");
        t.lose();
        co_await t.all->clock->async_lose(ex, ticks_of(n), use_awaitable);
        break;
    case op::sequence: {
        unsigned sum = 0;
        for (node const& each : n.children) {
            unsigned const result = co_await Other::run(t, each);
            sum = 31 * sum + result;
        }
        t.note("sum", sum);
        co_return sum;
    }
    case op::call: {
        unsigned const result = co_await Other::run(t, child(0));
        t.note("called", result);
        co_return result + 1;
    }
    case op::attempt: {
        std::exception_ptr caught;
        try {
            co_return co_await Other::run(t, child(0));
        } catch (...) {
            caught = std::current_exception();
        }
        t.note("caught", caught);
        unsigned const result = co_await Other::run(t, child(1));
        if (n.value % 2)
            std::rethrow_exception(caught);
        co_return result;
    }
    case op::scope: {
        std::exception_ptr leaving;
        unsigned result = 0;
        try {
            result = co_await Other::run(t, child(0));
        } catch (...) {
            leaving = std::current_exception();
        }
        t.note(leaving ? "leaves, unwinding" : "leaves");
        std::exception_ptr swallowed;
        try {
            co_await Other::run(t, child(1));
        } catch (...) {
            swallowed = std::current_exception();
        }
        if (swallowed)
            t.note("swallows", swallowed);
        if (leaving)
            std::rethrow_exception(leaving);
        co_return result;
    }
    case op::spawn: {
        bool const own = n.value % 2;
        task& started = t.child(t.signal, own);
        join_log const join{t, started};
        if (own)
            co_return co_await asio::co_spawn(ex, Other::start(t, started, child(0)),
                                              asio::bind_cancellation_slot(started.own_signal.slot(), use_awaitable));
        co_return co_await asio::co_spawn(ex, Other::start(t, started, child(0)), use_awaitable);
    }
    case op::spawn_two: {
        task &a = t.child(nullptr, false), &b = t.child(nullptr, false);
        join_log const join_b{t, b}, join_a{t, a};
        auto both = two_tasks(ex, Other::start(t, a, child(0)), Other::start(t, b, child(1)));
        auto const results = co_await both.async_wait(asio::experimental::wait_for_all(), use_awaitable);
        co_return join_two(t, results);
    }
    case op::either:
    case op::both: {
        task &a = t.child(signal_in_group(t, n), false), &b = t.child(signal_in_group(t, n), false);
        join_log const join_b{t, b}, join_a{t, a};
        auto start_a = Other::start(t, a, child(0)), start_b = Other::start(t, b, child(1));
        if (n.what == op::either)
            co_return co_await either_task(std::move(start_a), std::move(start_b));
        co_return co_await both_tasks(std::move(start_a), std::move(start_b));
    }
    }
    co_return n.value;
}

// The coroutine of a new task. Some versions of Asio await something after it, and let the exception of a task that is
// cancelled by then leave the event loop.
template <class Other> awaitable<unsigned> whole_task(task& t, node const& n) {
    t.alone = n.choose(2, 22);
    if (t.alone)
        co_await test::yield_now();
    std::exception_ptr error;
    unsigned result = 0;
    try {
        result = co_await Other::run(t, n);
    } catch (...) {
        error = std::current_exception();
    }
    co_await asio::this_coro::throw_if_cancelled(false);
    if (error)
        std::rethrow_exception(error);
    co_return result;
}

struct model {
    static awaitable<unsigned> run(task& t, node const& n) { return run_plainly<model>(t, n); }
    static awaitable<unsigned> start(task&, task& child, node const& n) { return whole_task<model>(child, n); }
};

} // namespace stress
