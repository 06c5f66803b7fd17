// SPDX-License-Identifier: MIT
// The same in a program that has coroutines already: one of them calls synchronous code through a portal.

#include <asio.hpp>

// [coroutine]
#include <greenback/greenback.hpp>

#include <iostream>
#include <numeric>
#include <string>
#include <vector>

// The bottom, the one function that was changed.
int price(std::string const& item) {
    asio::steady_timer lookup(greenback::await_(asio::this_coro::executor), std::chrono::milliseconds(100));
    greenback::await_(lookup.async_wait(asio::use_awaitable));
    return static_cast<int>(item.size());
}

// The middle: synchronous code. It may well be a library's.
int total(std::vector<std::string> const& basket) {
    return std::accumulate(basket.begin(), basket.end(), 0,
                           [](int sum, std::string const& item) { return sum + price(item); });
}

// The top: a coroutine, which calls the middle through a portal.
asio::awaitable<void> order(std::vector<std::string> basket) {
    std::cout << co_await greenback::with_portal_run_sync(total, std::move(basket)) << std::endl;
}

int main() {
    asio::io_context loop;
    asio::co_spawn(loop, order({"tea", "milk"}), greenback::rethrow);
    asio::co_spawn(loop, order({"bread"}), greenback::rethrow);
    loop.run(); // prints 5, then 7; one thread, 0.2 seconds
}
// [/coroutine]
