// SPDX-License-Identifier: MIT
// Synchronous code that waits before it tries again.

#include <asio.hpp>
#include <greenback/greenback.hpp>

#include <chrono>
#include <iostream>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;

int attempts = 0;

std::string unreliable() {
    if (++attempts % 3 != 0)
        throw std::runtime_error("not now");
    return "answer";
}

// [use]
std::string ask_patiently() {
    for (auto pause = 1ms;; pause *= 2) {
        try {
            return unreliable();
        } catch (std::runtime_error const&) {
            if (pause > 100ms)
                throw;
        }
        greenback::sleep_for(pause); // std::this_thread::sleep_for, but other tasks run meanwhile
    }
}
// [/use]

int main() {
    asio::io_context loop;
    int answered = 0;
    auto const task = [&] { answered += ask_patiently() == "answer"; };
    greenback::spawn(loop, task, greenback::rethrow);
    greenback::spawn(loop, task, greenback::rethrow);
    loop.run();
    std::cout << answered << " answers after " << attempts << " attempts\n";
    return answered == 2 && attempts == 6 ? 0 : 1;
}
