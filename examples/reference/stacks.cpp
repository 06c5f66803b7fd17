// SPDX-License-Identifier: MIT
// Sizes of stacks, and what is left and used of them, as docs/reference/ quotes them. Fails if a result is wrong.

#include <greenback/greenback.hpp>

#include <asio.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

using namespace std::chrono_literals;

void require(bool condition, char const* text) {
    if (!condition)
        throw std::runtime_error(text);
}

void let_others_run() { greenback::sleep_for(0ms); }

// [remaining_stack]
/// How deep the brackets of `text` are nested. The input decides how deep the calls go.
int depth_of(std::string_view& text) {
    if (greenback::remaining_stack() < 32 * 1024)
        throw std::length_error("nested too deeply");
    int deepest = 0;
    while (!text.empty() && text.front() == '(') {
        text.remove_prefix(1);
        deepest = std::max(deepest, 1 + depth_of(text));
    }
    if (!text.empty())
        text.remove_prefix(1); // the bracket that closes
    return deepest;
}
// [/remaining_stack]

int parse(std::string const& text) {
    let_others_run();
    std::string_view rest = text;
    return depth_of(rest);
}

/// @returns -1 if that is too deep
int try_to_parse(std::string const& text) {
    try {
        return parse(text);
    } catch (std::length_error const&) {
        return -1;
    }
}

asio::awaitable<int> parse_on_a_large_stack(std::string text) {
    // [pooled_stack]
    greenback::pooled_stack const large(16 * 1024 * 1024);
    co_return co_await greenback::with_portal_run_sync(std::allocator_arg, large, parse, text);
    // [/pooled_stack]
}

std::string nested(int levels) {
    auto const n = static_cast<std::size_t>(levels);
    return std::string(n, '(') + std::string(n, ')');
}

void measure(asio::io_context& loop) {
    // [measure]
    greenback::measure_stack_use(true); // before the first portal

    greenback::spawn(loop, [] { parse(nested(100)); }, greenback::rethrow); // the deepest work there is
    loop.run();

    std::printf("deepest portal: %zu KiB\n", greenback::stack_high_water() / 1024);
    // [/measure]
}

} // namespace

int main() try {
    // [default_stack_size]
    greenback::default_stack_size(1024 * 1024); // 1 MiB for each portal from now on
    // [/default_stack_size]
    // [report_stack_overflow]
    greenback::report_stack_overflow(); // first thing in main
    // [/report_stack_overflow]
    require(greenback::default_stack_size() == 1024 * 1024, "default_stack_size");
    require(greenback::remaining_stack() == ~std::size_t(0), "remaining_stack off every portal");
    asio::io_context loop;
    measure(loop);
    require(greenback::stack_high_water() <= 1024 * 1024, "stack_high_water");

    int here = 0, on_large = 0;
    loop.restart();
    greenback::spawn(loop, [&] { here = try_to_parse(nested(100'000)); }, greenback::rethrow);
    asio::co_spawn(loop, parse_on_a_large_stack(nested(20'000)), [&](std::exception_ptr error, int levels) {
        greenback::rethrow(error);
        on_large = levels;
    });
    loop.run();
    require(here == -1, "remaining_stack");
    require(on_large == 20'000, "pooled_stack");
} catch (std::exception const& e) {
    std::fprintf(stderr, "stacks: %s\n", e.what());
    return 1;
}
