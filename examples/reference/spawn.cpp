// SPDX-License-Identifier: MIT
// spawn and rethrow, as docs/reference/ quotes them. Fails if a result is wrong.

#include <greenback/greenback.hpp>

#include <asio.hpp>

#include <chrono>
#include <cstdio>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;

void require(bool condition, char const* text) {
    if (!condition)
        throw std::runtime_error(text);
}

std::vector<std::string> log_lines;

void run_script(std::string const& name) {
    greenback::sleep_for(1ms);
    log_lines.push_back(name);
}

int count_words() {
    greenback::sleep_for(1ms);
    return 3;
}

void serve_for_ever() {
    for (;;)
        greenback::sleep_for(1h);
}

void fail() { throw std::runtime_error("no such script"); }

void start(asio::io_context& loop) {
    // [spawn]
    for (std::string name : {"start.lua", "mail.lua"})
        greenback::spawn(loop, [name] { run_script(name); }, greenback::rethrow); // both run at the same time
    // [/spawn]
}

int words_counted = 0;

void count(asio::io_context& loop) {
    // [result]
    greenback::spawn(loop, count_words, [](std::exception_ptr error, int words) {
        greenback::rethrow(error);
        words_counted = words;
    });
    // [/result]
}

bool was_cancelled = false;

void cancel(asio::io_context& loop) {
    // [cancel]
    asio::cancellation_signal stop; // lives for as long as the task
    auto const ended = [](std::exception_ptr error) { was_cancelled = error != nullptr; };
    greenback::spawn(loop, serve_for_ever, asio::bind_cancellation_slot(stop.slot(), ended));

    asio::post(loop, [&] { stop.emit(asio::cancellation_type::terminal); }); // what it waits for is cancelled
    // [/cancel]
    loop.run();
}

int failures = 0;

// [rethrow]
void run(asio::io_context& loop) {
    for (;;) {
        try {
            loop.run();
            return;
        } catch (std::exception const& e) { // a task's, by greenback::rethrow
            log_lines.push_back(e.what());
            ++failures;
        } // the other tasks are as they were: go on with them
    }
}
// [/rethrow]

} // namespace

int main() try {
    asio::io_context loop;
    start(loop);
    count(loop);
    greenback::spawn(loop, fail, greenback::rethrow);
    run(loop);
    require(log_lines == std::vector<std::string>{"no such script", "start.lua", "mail.lua"}, "log_lines");
    require(words_counted == 3 && failures == 1, "results");
    loop.restart();
    cancel(loop);
    require(was_cancelled, "cancel");
} catch (std::exception const& e) {
    std::fprintf(stderr, "spawn: %s\n", e.what());
    return 1;
}
