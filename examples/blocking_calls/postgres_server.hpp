// SPDX-License-Identifier: MIT
// What postgres_server.cpp prints of itself.
#pragma once

#include <asio.hpp>
#include <greenback/greenback.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <exception>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <string>

/// A completion handler. One connection's failure is not the server's.
inline constexpr auto report_failure = [](std::exception_ptr const& error) {
    try {
        greenback::rethrow(error);
    } catch (std::exception const& e) {
        std::cerr << "a connection has failed: " << e.what() << '\n';
    }
};

class heartbeat {
public:
    using clock = std::chrono::steady_clock;

    asio::awaitable<void> run() {
        constexpr auto interval = std::chrono::milliseconds(10);
        asio::steady_timer timer(co_await asio::this_coro::executor);
        for (auto last = clock::now();;) {
            timer.expires_after(interval);
            co_await timer.async_wait(asio::use_awaitable);
            auto const now = clock::now();
            longest_ = std::max(longest_, now - last);
            last = now;
        }
    }
    std::chrono::milliseconds longest_pause() const {
        return std::chrono::duration_cast<std::chrono::milliseconds>(longest_);
    }

private:
    clock::duration longest_{};
};

/// The most memory that this process has had resident, by the kernel's own count.
inline void print_memory() {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;)
        if (long kilobytes = 0; word == "VmHWM:" && status >> kilobytes)
            std::cout << "    resident memory of the HTTP server, at most: " << std::fixed << std::setprecision(1)
                      << static_cast<double>(kilobytes) / 1024 << " MiB\n";
}
