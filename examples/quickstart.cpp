// SPDX-License-Identifier: MIT
// The program of README.md.

// [quickstart]
#include <asio.hpp>
#include <greenback/greenback.hpp>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <string>

// The bottom: the C library calls it, and it is the only function that waits. Meanwhile other tasks run.
int compare(void const* a, void const* b) {
    // Stands for a question to somebody far away.
    asio::steady_timer answer(greenback::await_(asio::this_coro::executor), std::chrono::milliseconds(10));
    answer.async_wait(greenback::use_portal);
    return *static_cast<char const*>(a) - *static_cast<char const*>(b);
}

// The middle: qsort, which has never heard of coroutines.
void sort_and_print(std::string word) {
    std::qsort(word.data(), word.size(), 1, compare);
    std::cout << word << std::endl;
}

// The top: two tasks on one thread. greenback::rethrow: what goes wrong in a task leaves loop.run().
int main() {
    asio::io_context loop;
    greenback::spawn(loop, std::bind_front(sort_and_print, "greenback"), greenback::rethrow);
    greenback::spawn(loop, std::bind_front(sort_and_print, "asio"), greenback::rethrow);
    loop.run(); // prints aios, then abceegknr
}
// [/quickstart]
