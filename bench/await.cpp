// SPDX-License-Identifier: MIT
// What an await costs: beside `co_await`, beside a bare switch of stacks, and beside each other. Every row runs in one
// process; run with --benchmark_enable_random_interleaving and repetitions, and compare medians.

#include "support/asio.hpp"

#include <greenback/greenback.hpp>

#include <benchmark/benchmark.h>
#include <boost/context/fiber.hpp>

namespace {

template <class T = void> using task = asio::awaitable<T>;

/// Runs `t` on a fresh event loop, to its end.
void run(task<> t) {
    asio::io_context io(1);
    std::exception_ptr failure;
    asio::co_spawn(io, std::move(t), [&](std::exception_ptr e) { failure = e; });
    io.run();
    if (failure)
        std::rethrow_exception(failure);
}

[[gnu::noinline]] task<int> ready(int i) { co_return i + 1; }
void nothing() {}

void boost_context_round_trip(benchmark::State& state) {
    boost::context::fiber f([](boost::context::fiber&& back) {
        for (;;)
            back = std::move(back).resume();
        return std::move(back);
    });
    for (auto _ : state)
        f = std::move(f).resume();
}

// ---- a ready coroutine ----

void co_await_ready(benchmark::State& state) {
    run([](benchmark::State& s) -> task<> {
        int i = 0;
        for (auto _ : s)
            benchmark::DoNotOptimize(i = co_await ready(i));
    }(state));
}

void await_ready(benchmark::State& state) {
    run(greenback::with_portal_run_sync([&state] {
        int i = 0;
        for (auto _ : state)
            benchmark::DoNotOptimize(i = greenback::await_(ready(i)));
    }));
}

// ---- an operation that suspends ----

void co_await_post(benchmark::State& state) {
    run([](benchmark::State& s) -> task<> {
        asio::any_io_executor ex = co_await asio::this_coro::executor;
        for (auto _ : s)
            co_await asio::post(ex, asio::use_awaitable);
    }(state));
}

void await_post(benchmark::State& state) {
    run(greenback::with_portal_run_sync([&state] {
        asio::any_io_executor ex = greenback::await_(asio::this_coro::executor);
        for (auto _ : state)
            greenback::await_(asio::post(ex, asio::use_awaitable));
    }));
}

void use_portal_post(benchmark::State& state) {
    run(greenback::with_portal_run_sync([&state] {
        asio::any_io_executor ex = greenback::await_(asio::this_coro::executor);
        for (auto _ : state)
            asio::post(ex, greenback::use_portal);
    }));
}

[[gnu::noinline]] void post_at_depth(asio::any_io_executor const& ex, int depth) {
    if (depth > 1)
        post_at_depth(ex, depth - 1);
    else
        asio::post(ex, greenback::use_portal);
    asm volatile("" ::: "memory"); // no tail call
}

void use_portal_post_ten_deep(benchmark::State& state) {
    run(greenback::with_portal_run_sync([&state] {
        asio::any_io_executor ex = greenback::await_(asio::this_coro::executor);
        for (auto _ : state)
            post_at_depth(ex, 10);
    }));
}

// ---- task-wide portals ----

void co_await_post_with_ensure_portal(benchmark::State& state) {
    run([](benchmark::State& s) -> task<> {
        co_await greenback::ensure_portal();
        asio::any_io_executor ex = co_await asio::this_coro::executor;
        for (auto _ : s)
            co_await asio::post(ex, asio::use_awaitable);
    }(state));
}

void await_post_with_ensure_portal(benchmark::State& state) {
    run([](benchmark::State& s) -> task<> {
        co_await greenback::ensure_portal();
        asio::any_io_executor ex = co_await asio::this_coro::executor;
        [&] {
            for (auto _ : s)
                greenback::await_(asio::post(ex, asio::use_awaitable));
        }();
    }(state));
}

// ---- portals ----

task<> child() { co_return; }

void co_await_child(benchmark::State& state) {
    run([](benchmark::State& s) -> task<> {
        for (auto _ : s)
            co_await child();
    }(state));
}

void with_portal_run_sync_nothing(benchmark::State& state) {
    run([](benchmark::State& s) -> task<> {
        for (auto _ : s)
            co_await greenback::with_portal_run_sync(nothing);
    }(state));
}

void portal_run_nothing(benchmark::State& state) {
    run([](benchmark::State& s) -> task<> {
        greenback::portal p;
        for (auto _ : s)
            co_await p.run(nothing);
    }(state));
}

void co_spawn_child(benchmark::State& state) {
    asio::io_context io(1);
    for (auto _ : state) {
        asio::co_spawn(io, child(), asio::detached);
        io.restart();
        io.run();
    }
}

void co_spawn_with_portal_run_sync(benchmark::State& state) {
    asio::io_context io(1);
    for (auto _ : state) {
        asio::co_spawn(io, greenback::with_portal_run_sync(nothing), asio::detached);
        io.restart();
        io.run();
    }
}

BENCHMARK(boost_context_round_trip);
BENCHMARK(co_await_ready);
BENCHMARK(await_ready);
BENCHMARK(co_await_post);
BENCHMARK(await_post);
BENCHMARK(use_portal_post);
BENCHMARK(use_portal_post_ten_deep);
BENCHMARK(co_await_post_with_ensure_portal);
BENCHMARK(await_post_with_ensure_portal);
BENCHMARK(co_await_child);
BENCHMARK(with_portal_run_sync_nothing);
BENCHMARK(portal_run_nothing);
BENCHMARK(co_spawn_child);
BENCHMARK(co_spawn_with_portal_run_sync);

} // namespace

BENCHMARK_MAIN();
