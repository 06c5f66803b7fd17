// SPDX-License-Identifier: MIT
// Code that holds a lock, and calls a function that has learnt to await since.

#include <asio.hpp>
#include <greenback/greenback.hpp>

#include <iostream>
#include <map>
#include <mutex>
#include <string>

std::mutex cache_mutex;
std::map<std::string, int> cache;

// Somebody has made it await, when the price came to be somewhere else.
int price(std::string const& item) {
    greenback::await_(asio::post(greenback::await_(asio::this_coro::executor), asio::use_awaitable));
    return static_cast<int>(item.size());
}

// [wrong]
int cached_price(std::string const& item) {
    greenback::no_await_lock const lock("the cache is locked", cache_mutex);
    auto const found = cache.find(item);
    if (found != cache.end())
        return found->second;
    return cache[item] = price(item); // throws await_forbidden, at once and every time, and says where
}
// [/wrong]

// [right]
int cached_price_2(std::string const& item) {
    {
        greenback::no_await_lock const lock("the cache is locked", cache_mutex);
        if (auto const found = cache.find(item); found != cache.end())
            return found->second;
    }
    int const found = price(item); // other tasks run meanwhile, and may lock
    greenback::no_await_lock const lock("the cache is locked", cache_mutex);
    return cache[item] = found;
}
// [/right]

int main() {
    asio::io_context loop;
    bool refused = false;
    int found = 0;
    auto const task = [&] {
        try {
            cached_price("tea");
        } catch (greenback::await_forbidden const& e) {
            std::cout << e.what() << '\n';
            refused = true;
        }
        found = cached_price_2("milk");
    };
    greenback::spawn(loop, task, greenback::rethrow);
    loop.run();
    return refused && found == 4 && cache_mutex.try_lock() ? 0 : 1;
}
