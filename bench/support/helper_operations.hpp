// SPDX-License-Identifier: MIT
// The helpers, each beside what one would write by hand in a coroutine, or in C. As in operations.hpp, a `Loop` is
// anything that can stand in `for (auto _ : loop)`, and each pass through it is one operation.
#pragma once

#include "operations.hpp"

#include <asio/experimental/awaitable_operators.hpp>

#include <chrono>
#include <optional>
#include <vector>

namespace bench {

/// A task that suspends once.
[[gnu::noinline]] inline task<> post_once(asio::any_io_executor const& ex) {
    co_await asio::post(ex, asio::use_awaitable);
}

/// In a portal: `f(executor)`, again and again.
template <class Loop, class F> void in_portal(Loop& loop, F f) {
    run(greenback::with_portal_run_sync([&] {
        asio::any_io_executor const ex = greenback::await_(asio::this_coro::executor);
        for ([[maybe_unused]] auto _ : loop)
            f(ex);
    }));
}

// ---- several tasks at once ----

template <class Loop> void await_all_ten(Loop& loop) {
    in_portal(loop, [](asio::any_io_executor const& ex) {
        std::vector<task<>> tasks;
        tasks.reserve(10);
        for (int i = 0; i != 10; ++i)
            tasks.push_back(post_once(ex));
        greenback::await_all(std::move(tasks));
    });
}

template <class Loop> void co_await_all_ten(Loop& loop) {
    run([](Loop& l) -> task<> {
        using namespace asio::experimental::awaitable_operators;
        asio::any_io_executor const ex = co_await asio::this_coro::executor;
        auto const once = [&] { return post_once(ex); };
        for ([[maybe_unused]] auto _ : l)
            co_await (once() && once() && once() && once() && once() && once() && once() && once() && once() && once());
    }(loop));
}

// ---- a deadline, which is not met ----

template <class Loop> void await_for_post(Loop& loop) {
    in_portal(loop,
              [](asio::any_io_executor const& ex) { greenback::await_for(std::chrono::hours(1), post_once(ex)); });
}

template <class Loop> void with_timeout_post(Loop& loop) {
    run([](Loop& l) -> task<> {
        asio::any_io_executor const ex = co_await asio::this_coro::executor;
        for ([[maybe_unused]] auto _ : l)
            co_await greenback::with_timeout(std::chrono::hours(1), [&ex] { asio::post(ex, greenback::use_portal); });
    }(loop));
}

template <class Loop> void co_await_or_timer(Loop& loop) {
    run([](Loop& l) -> task<> {
        using namespace asio::experimental::awaitable_operators;
        asio::any_io_executor const ex = co_await asio::this_coro::executor;
        for ([[maybe_unused]] auto _ : l) {
            asio::steady_timer timer(ex, std::chrono::hours(1));
            co_await (post_once(ex) || timer.async_wait(asio::use_awaitable));
        }
    }(loop));
}

// ---- a moment's sleep: a timer that is over when it begins ----

template <class Loop> void sleep_for_nothing(Loop& loop) {
    in_portal(loop, [](asio::any_io_executor const&) { greenback::sleep_for(std::chrono::seconds(0)); });
}

template <class Loop> void co_await_timer(Loop& loop) {
    run([](Loop& l) -> task<> {
        for ([[maybe_unused]] auto _ : l) {
            asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::seconds(0));
            co_await timer.async_wait(asio::use_awaitable);
        }
    }(loop));
}

// ---- one element after the other, of a source that has them ready ----

[[gnu::noinline]] inline task<std::optional<int>> next_number(int i) { co_return i + 1; }

template <class Loop> void async_iter_element(Loop& loop) {
    run(greenback::with_portal_run_sync([&loop] {
        int i = 0;
        auto range = greenback::async_iter([&i] { return next_number(i); });
        auto at = range.begin();
        for ([[maybe_unused]] auto _ : loop) {
            ++at;
            i = *at;
            keep(i);
        }
    }));
}

template <class Loop> void co_await_element(Loop& loop) {
    run([](Loop& l) -> task<> {
        int i = 0;
        auto const next = [&i] { return next_number(i); };
        for ([[maybe_unused]] auto _ : l) {
            if (auto const element = co_await next())
                i = *element;
            keep(i);
        }
    }(loop));
}

// ---- an asynchronous function as a synchronous one ----

template <class Loop> void autoawait_ready(Loop& loop) {
    run(greenback::with_portal_run_sync([&loop] {
        auto const synchronous = greenback::autoawait(ready);
        int i = 0;
        for ([[maybe_unused]] auto _ : loop) {
            i = synchronous(i);
            keep(i);
        }
    }));
}

// ---- past C frames, without an exception ----

[[gnu::noinline]] inline int plain_work(int i) {
    asm volatile("" : "+r"(i));
    return i + 1;
}

extern "C" {
using greenback_bench_visitor = int (*)(int, void*);
}
/// A C library's function that calls back.
[[gnu::noinline]] inline int visit(int i, greenback_bench_visitor visitor, void* user) {
    int const result = visitor(i, user);
    asm volatile("" ::: "memory"); // no tail call
    return result;
}

template <class Loop> void exception_trap_call(Loop& loop) {
    greenback::exception_trap trap;
    int i = 0;
    for ([[maybe_unused]] auto _ : loop) {
        i = trap.run([&] { return plain_work(i); }, -1);
        keep(i);
    }
}

template <class Loop> void try_and_catch(Loop& loop) {
    std::exception_ptr failure;
    int i = 0;
    for ([[maybe_unused]] auto _ : loop) {
        try {
            i = plain_work(i);
        } catch (...) {
            failure = std::current_exception();
            i = -1;
        }
        keep(i);
    }
}

template <class Loop> void c_callback_call(Loop& loop) {
    greenback::c_callback callback([](int n) { return plain_work(n); }, -1);
    int i = 0;
    for ([[maybe_unused]] auto _ : loop) {
        i = visit(i, callback, &callback);
        keep(i);
    }
}

template <class Loop> void callback_by_hand(Loop& loop) {
    std::exception_ptr failure;
    greenback_bench_visitor const callback = [](int n, void* user) {
        try {
            return plain_work(n);
        } catch (...) {
            *static_cast<std::exception_ptr*>(user) = std::current_exception();
            return -1;
        }
    };
    int i = 0;
    for ([[maybe_unused]] auto _ : loop) {
        i = visit(i, callback, &failure);
        keep(i);
    }
}

// ---- code that must not await ----

template <class Loop> void no_await_scope_made(Loop& loop) {
    in_portal(loop, [](asio::any_io_executor const&) {
        greenback::no_await_scope const scope("the list is half built");
        asm volatile("" ::: "memory");
    });
}

template <class Loop> void no_scope(Loop& loop) {
    in_portal(loop, [](asio::any_io_executor const&) { asm volatile("" ::: "memory"); });
}

} // namespace bench

/// Calls `ROW(name)` for all of them. What needs a thread of its own is in bench/helpers.cpp.
#define GREENBACK_BENCH_HELPERS(ROW) \
    ROW(await_all_ten) \
    ROW(co_await_all_ten) \
    ROW(await_for_post) \
    ROW(with_timeout_post) \
    ROW(co_await_or_timer) \
    ROW(sleep_for_nothing) \
    ROW(co_await_timer) \
    ROW(async_iter_element) \
    ROW(co_await_element) \
    ROW(autoawait_ready) \
    ROW(await_ready) \
    ROW(co_await_ready) \
    ROW(exception_trap_call) \
    ROW(try_and_catch) \
    ROW(c_callback_call) \
    ROW(callback_by_hand) \
    ROW(no_await_scope_made) \
    ROW(no_scope)
