// SPDX-License-Identifier: MIT
// What the depth of the call stack makes of an await: 1 to 1,000 synchronous calls, beside as many nested coroutines.
//
//     call_…      from the top each time: down to the bottom, one await there, and back
//     stay_…      at the bottom: one await after the other
//     call_alone  down and back, without an await

#include "support/operations.hpp"

#include <benchmark/benchmark.h>

namespace {

using bench::task;

int depth_of(benchmark::State const& state) { return static_cast<int>(state.range(0)); }

/// `f` at the bottom of so many calls.
template <class F> [[gnu::noinline]] void at_depth(int depth, F& f) {
    if (depth > 1)
        at_depth(depth - 1, f);
    else
        f();
    asm volatile("" ::: "memory"); // no tail call
}

template <class F> [[gnu::noinline]] task<> co_at_depth(int depth, F& f) {
    if (depth > 1)
        co_await co_at_depth(depth - 1, f);
    else
        co_await f();
}

template <class F> void in_portal(F f) {
    bench::run(greenback::with_portal_run_sync(
        [&] { f(asio::any_io_executor(greenback::await_(asio::this_coro::executor))); }));
}

// ---- from the top each time ----

void call_alone(benchmark::State& state) {
    auto const work = [] { asm volatile("" ::: "memory"); };
    for (auto _ : state)
        at_depth(depth_of(state), work);
}

void call_use_portal(benchmark::State& state) {
    in_portal([&](asio::any_io_executor const& ex) {
        auto const wait = [&] { asio::post(ex, greenback::use_portal); };
        for (auto _ : state)
            at_depth(depth_of(state), wait);
    });
}

void call_await(benchmark::State& state) {
    in_portal([&](asio::any_io_executor const& ex) {
        auto const wait = [&] { greenback::await_(asio::post(ex, asio::use_awaitable)); };
        for (auto _ : state)
            at_depth(depth_of(state), wait);
    });
}

void call_co_await(benchmark::State& state) {
    bench::run([](benchmark::State& s) -> task<> {
        asio::any_io_executor const ex = co_await asio::this_coro::executor;
        auto const wait = [&] { return asio::post(ex, asio::use_awaitable); };
        for (auto _ : s)
            co_await co_at_depth(depth_of(s), wait);
    }(state));
}

// ---- at the bottom ----

void stay_use_portal(benchmark::State& state) {
    in_portal([&](asio::any_io_executor const& ex) {
        auto const waits = [&] {
            for (auto _ : state)
                asio::post(ex, greenback::use_portal);
        };
        at_depth(depth_of(state), waits);
    });
}

void stay_await(benchmark::State& state) {
    in_portal([&](asio::any_io_executor const& ex) {
        auto const waits = [&] {
            for (auto _ : state)
                greenback::await_(asio::post(ex, asio::use_awaitable));
        };
        at_depth(depth_of(state), waits);
    });
}

void stay_co_await(benchmark::State& state) {
    bench::run([](benchmark::State& s) -> task<> {
        asio::any_io_executor const ex = co_await asio::this_coro::executor;
        auto const waits = [&]() -> task<> {
            for (auto _ : s)
                co_await asio::post(ex, asio::use_awaitable);
        };
        co_await co_at_depth(depth_of(s), waits);
    }(state));
}

#define ROW(name) BENCHMARK(name)->Arg(1)->Arg(3)->Arg(10)->Arg(30)->Arg(100)->Arg(300)->Arg(1000);
ROW(call_alone)
ROW(call_use_portal)
ROW(call_await)
ROW(call_co_await)
ROW(stay_use_portal)
ROW(stay_await)
ROW(stay_co_await)

} // namespace

BENCHMARK_MAIN();
