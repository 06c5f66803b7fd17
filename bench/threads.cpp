// SPDX-License-Identifier: MIT
// Throughput with one thread and with two: what portals on different threads take from each other.
//
// The first rows give each thread an event loop of its own, so all that the threads share is greenback's pool of stacks
// (and malloc). The `pool_*` rows run on a thread_pool, whose queue has a lock of Asio's: there the rows with
// coroutines alone say what is Asio's doing.

#include "support/operations.hpp"

#include <benchmark/benchmark.h>

#include <cstddef>
#include <latch>

namespace {

using bench::task;

// ---- each thread for itself ----

void own_loop_portals(benchmark::State& state) { bench::with_portal_run_sync_nothing(state); }
void own_loop_coroutines(benchmark::State& state) { bench::co_await_child(state); }
void own_loop_posts(benchmark::State& state) { bench::use_portal_post(state); }

/// More portals at once than a thread keeps stacks for: this does go to the pool that the threads share.
void own_loop_hundred_portals_at_once(benchmark::State& state) {
    constexpr int portals = 100;
    asio::io_context io(1);
    for (auto _ : state) {
        for (int i = 0; i < portals; ++i) {
            auto wait = [ex = io.get_executor()] { asio::post(ex, greenback::use_portal); };
            asio::co_spawn(io, greenback::with_portal_run_sync(wait), asio::detached);
        }
        io.restart();
        io.run();
    }
    state.SetItemsProcessed(state.iterations() * portals);
}

// ---- on a thread_pool of `state.range(0)` threads ----

constexpr int tasks = 8;
constexpr int steps = 200;

/// `tasks` tasks at once, each of `steps` steps.
template <class Make> void on_pool(benchmark::State& state, Make make) {
    asio::thread_pool pool(static_cast<std::size_t>(state.range(0)));
    for (auto _ : state) {
        std::latch ended(tasks);
        for (int i = 0; i < tasks; ++i)
            asio::co_spawn(pool, make(pool.get_executor()), [&](std::exception_ptr) { ended.count_down(); });
        ended.wait();
    }
    state.SetItemsProcessed(state.iterations() * tasks * steps);
}

void pool_portals(benchmark::State& state) {
    on_pool(state, [](asio::any_io_executor) -> task<> {
        for (int i = 0; i < steps; ++i)
            co_await greenback::with_portal_run_sync(bench::nothing);
    });
}

void pool_coroutines(benchmark::State& state) {
    on_pool(state, [](asio::any_io_executor) -> task<> {
        for (int i = 0; i < steps; ++i)
            co_await bench::child();
    });
}

void pool_posts(benchmark::State& state) {
    on_pool(state, [](asio::any_io_executor ex) {
        return greenback::with_portal_run_sync([ex] {
            for (int i = 0; i < steps; ++i)
                asio::post(ex, greenback::use_portal);
        });
    });
}

void pool_co_await_posts(benchmark::State& state) {
    on_pool(state, [](asio::any_io_executor ex) -> task<> {
        for (int i = 0; i < steps; ++i)
            co_await asio::post(ex, asio::use_awaitable);
    });
}

#define THREADS(name) BENCHMARK(name)->Threads(1)->Threads(2)->UseRealTime();
#define POOL(name) BENCHMARK(name)->Arg(1)->Arg(2)->UseRealTime();
THREADS(own_loop_coroutines)
THREADS(own_loop_portals)
THREADS(own_loop_hundred_portals_at_once)
THREADS(own_loop_posts)
POOL(pool_coroutines)
POOL(pool_portals)
POOL(pool_co_await_posts)
POOL(pool_posts)

} // namespace

BENCHMARK_MAIN();
