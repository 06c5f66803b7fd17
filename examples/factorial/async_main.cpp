// SPDX-License-Identifier: MIT
// The top of the asynchronous program: a task with a portal, and beside it a heartbeat on the same thread.

#include "factorial.hpp"

#include <asio.hpp>
#include <greenback/greenback.hpp>

#include <chrono>
#include <iostream>

namespace {

asio::awaitable<void> heartbeat(int& beats) {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    for (;;) {
        timer.expires_after(std::chrono::milliseconds(10));
        co_await timer.async_wait(asio::use_awaitable);
        ++beats;
    }
}

// [task]
asio::awaitable<bool> print_factorials() {
    co_await greenback::ensure_portal();
    bool right = print_factorial(5) == "120\n";
    right &= print_factorial(10) == "3628800\n";
    right &= print_factorial(20) == "2432902008176640000\n";
    co_return right;
}
// [/task]

} // namespace

int main() {
    asio::io_context loop;
    int beats = 0;
    bool right = false;
    asio::co_spawn(loop, heartbeat(beats), greenback::rethrow);
    asio::co_spawn(loop, print_factorials(), [&](std::exception_ptr error, bool result) {
        greenback::rethrow(error);
        right = result;
        loop.stop();
    });
    loop.run();

    std::cout << "the loop's heart has beaten " << beats << " times meanwhile\n";
    if (!right)
        std::cerr << "factorial_async: a value is wrong\n";
    if (beats == 0)
        std::cerr << "factorial_async: the loop stood still\n";
    return right && beats > 0 ? 0 : 1;
}
