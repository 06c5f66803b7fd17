// SPDX-License-Identifier: MIT
// What an await costs: beside `co_await`, beside a bare switch of stacks, and beside each other. The operations are in
// support/operations.hpp. Run with --benchmark_enable_random_interleaving and repetitions, and compare medians. Built
// twice: bench_await as the other programs, bench_await_o3 with -O3.

#include "support/operations.hpp"

#include <benchmark/benchmark.h>

#define ROW(name) BENCHMARK(bench::name<benchmark::State>)->Name(#name);
GREENBACK_BENCH_AWAIT(ROW)

BENCHMARK_MAIN();
