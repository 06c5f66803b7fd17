// SPDX-License-Identifier: MIT
// An algorithm that wants a function, and a function that is asynchronous.

#include <asio.hpp>
#include <greenback/greenback.hpp>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <string>
#include <vector>

asio::awaitable<bool> is_reachable(std::string const& host) {
    asio::steady_timer answer(co_await asio::this_coro::executor, std::chrono::milliseconds(1));
    co_await answer.async_wait(asio::use_awaitable);
    co_return host != "down";
}

// [use]
void keep_reachable(std::vector<std::string>& hosts) {
    auto const reachable = greenback::autoawait(is_reachable); // bool(std::string const&)
    std::erase_if(hosts, [&](std::string const& host) { return !reachable(host); });
}
// [/use]

int main() {
    asio::io_context loop;
    std::vector<std::string> hosts{"one", "down", "two"};
    greenback::spawn(loop, [&] { keep_reachable(hosts); }, greenback::rethrow);
    loop.run();
    for (std::string const& host : hosts)
        std::cout << host << '\n';
    return hosts == std::vector<std::string>{"one", "two"} ? 0 : 1;
}
