// SPDX-License-Identifier: MIT
// The memory of a suspended portal, all included: makes many of them, each waiting for a timer three calls deep, and
// looks at what the process has grown by.
//
//     bench_memory [<count>] [portals|coroutines]
//
// `coroutines` waits in three nested coroutines instead, for comparison.

#include "support/operations.hpp"

#include <charconv>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include <unistd.h>

namespace {

using bench::task;
using wait_time = std::chrono::hours;

// ---- three calls deep ----

[[gnu::noinline]] void third_call(asio::any_io_executor const& ex) {
    asio::steady_timer timer(ex, wait_time(24));
    timer.async_wait(greenback::use_portal);
}
[[gnu::noinline]] void second_call(asio::any_io_executor const& ex) {
    third_call(ex);
    asm volatile("" ::: "memory"); // no tail call
}
[[gnu::noinline]] void first_call(asio::any_io_executor const& ex) {
    second_call(ex);
    asm volatile("" ::: "memory");
}

task<> third_coroutine(asio::any_io_executor const& ex) {
    asio::steady_timer timer(ex, wait_time(24));
    co_await timer.async_wait(asio::use_awaitable);
}
task<> second_coroutine(asio::any_io_executor const& ex) { co_await third_coroutine(ex); }
task<> first_coroutine(asio::any_io_executor const& ex) { co_await second_coroutine(ex); }

// ---- what the kernel says ----

double resident_kib() {
    long size = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> size >> resident;
    return double(resident) * double(::sysconf(_SC_PAGESIZE)) / 1024;
}

/// Page tables are the kernel's memory, not in what is resident, but they are charged to the process all the same.
double page_tables_kib() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("VmPTE:"))
            return std::stod(line.substr(6));
    return 0;
}

long mappings() {
    std::ifstream maps("/proc/self/maps");
    long count = 0;
    for (std::string line; std::getline(maps, line);)
        ++count;
    return count;
}

void spawn_one(asio::io_context& io, asio::any_io_executor const& ex, bool portals) {
    if (portals)
        asio::co_spawn(io, greenback::with_portal_run_sync(first_call, std::ref(ex)), asio::detached);
    else
        asio::co_spawn(io, first_coroutine(ex), asio::detached);
    io.poll(); // until it waits: a queue of a million tasks is not what is measured
}

} // namespace

int main(int argc, char** argv) {
    long count = 1'000'000;
    bool portals = true;
    for (std::string_view argument : std::span(argv + 1, argv + argc)) {
        if (argument == "portals" || argument == "coroutines")
            portals = argument == "portals";
        else if (std::from_chars(argument.data(), argument.data() + argument.size(), count).ec != std::errc() ||
                 count <= 0) {
            std::fprintf(stderr, "usage: %s [<count>] [portals|coroutines]\n", argv[0]);
            return 2;
        }
    }
    using clock = std::chrono::steady_clock;
    auto const nanoseconds_each = [count](clock::duration d) {
        return double(std::chrono::duration_cast<std::chrono::nanoseconds>(d).count()) / double(count);
    };

    auto io = std::make_unique<asio::io_context>(1);
    asio::any_io_executor const ex = io->get_executor();
    spawn_one(*io, ex, portals); // what the first one alone needs is not counted

    double const resident_before = resident_kib(), tables_before = page_tables_kib();
    auto const start = clock::now();
    for (long i = 0; i < count; ++i)
        spawn_one(*io, ex, portals);
    auto const made = clock::now();
    double const resident = resident_kib() - resident_before, tables = page_tables_kib() - tables_before;
    long const maps = mappings();
    if (portals && greenback::stats().suspended != std::size_t(count) + 1) {
        std::fprintf(stderr, "not all are suspended\n");
        return 1;
    }

    auto const suspended = clock::now();
    io.reset(); // destroys the tasks: the portals are unwound
    auto const destroyed = clock::now();

    std::printf("count                        %ld\n", count);
    std::printf("resident_kib_each            %.3f\n", resident / double(count));
    std::printf("page_tables_kib_each         %.3f\n", tables / double(count));
    std::printf("memory_mappings              %ld\n", maps);
    std::printf("nanoseconds_to_make_each     %.0f\n", nanoseconds_each(made - start));
    std::printf("nanoseconds_to_destroy_each  %.0f\n", nanoseconds_each(destroyed - suspended));
    std::printf("resident_kib_left_each       %.3f\n", (resident_kib() - resident_before) / double(count));
}
