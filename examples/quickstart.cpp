// SPDX-License-Identifier: MIT
// The example of README.md, which is cut out of this file.

#include "support/asio.hpp"

// [quickstart]
#include <greenback/greenback.hpp>

#include <iostream>
#include <numeric>
#include <string>
#include <vector>

// The bottom, the one function that was changed: it waits, and other tasks go on meanwhile.
int price(std::string const& item) {
    asio::steady_timer lookup(greenback::await_(asio::this_coro::executor), std::chrono::milliseconds(100));
    greenback::await_(lookup.async_wait(asio::use_awaitable));
    return static_cast<int>(item.size());
}

// The middle: synchronous code that has never heard of coroutines. It may well be a library's.
int total(std::vector<std::string> const& basket) {
    return std::accumulate(basket.begin(), basket.end(), 0,
                           [](int sum, std::string const& item) { return sum + price(item); });
}

// The top: a task, which calls the middle through a portal.
asio::awaitable<void> order(std::vector<std::string> basket) {
    std::cout << co_await greenback::with_portal_run_sync(total, std::move(basket)) << std::endl;
}

int main() {
    asio::io_context loop;
    asio::co_spawn(loop, order({"tea", "milk"}), asio::detached);
    asio::co_spawn(loop, order({"bread"}), asio::detached);
    loop.run(); // prints 5, then 7; one thread, 0.2 seconds
}
// [/quickstart]
