// SPDX-License-Identifier: MIT
// What sync_stream and basic_iostream cost over a local socket pair, beside sockets that block and beside coroutines. The
// operations are in support/stream_operations.hpp. Most of the time is the kernel's.

#include "support/stream_operations.hpp"

#include <benchmark/benchmark.h>

namespace {

constexpr int lines_at_once = 100;

// An item is a line.
#define LINES(name) \
    void hundred_##name(benchmark::State& state) { \
        bench::name<lines_at_once>(state); \
        state.SetItemsProcessed(state.iterations() * lines_at_once); \
    } \
    BENCHMARK(hundred_##name);

#define ROW(name) BENCHMARK(bench::name<benchmark::State>)->Name(#name);
GREENBACK_BENCH_STREAMS(ROW)
LINES(lines_socket_iostream)
LINES(lines_co_await)
LINES(lines_iostream)

// Two threads wait for each other: real time, for all three.
#define REAL(name) BENCHMARK(bench::name<benchmark::State>)->Name(#name)->UseRealTime();
REAL(byte_there_and_back_threads)
REAL(byte_there_and_back_co_await)
REAL(byte_there_and_back_sync_stream)

} // namespace

BENCHMARK_MAIN();
