// SPDX-License-Identifier: MIT
// Portals beside `asio::spawn`, the stackful coroutines of Asio itself. Always built on Boost.Asio: see
// bench/CMakeLists.txt.

#include "support/operations.hpp"

#include <benchmark/benchmark.h>

#define ROW(name) BENCHMARK(bench::name<benchmark::State>)->Name(#name);
GREENBACK_BENCH_SPAWN(ROW)
GREENBACK_BENCH_ON_BOOST_ASIO(ROW)

BENCHMARK_MAIN();
