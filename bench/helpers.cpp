// SPDX-License-Identifier: MIT
// What the helpers cost, each beside what one would write by hand. The operations are in support/helper_operations.hpp,
// but for those with a thread_pool, whose time is real time.

#include "support/helper_operations.hpp"

#include <benchmark/benchmark.h>

namespace {

using bench::task;

void on_executor_pool(benchmark::State& state) {
    asio::thread_pool pool(1);
    bench::in_portal(state, [&](asio::any_io_executor const&) { greenback::on_executor(pool, bench::nothing); });
}

void co_await_co_spawn_pool(benchmark::State& state) {
    asio::thread_pool pool(1);
    bench::run([](benchmark::State& s, asio::thread_pool& p) -> task<> {
        for (auto _ : s)
            co_await asio::co_spawn(p, bench::child(), asio::use_awaitable);
    }(state, pool));
}

#define ROW(name) BENCHMARK(bench::name<benchmark::State>)->Name(#name);
GREENBACK_BENCH_HELPERS(ROW)
BENCHMARK(on_executor_pool)->UseRealTime();
BENCHMARK(co_await_co_spawn_pool)->UseRealTime();

} // namespace

BENCHMARK_MAIN();
