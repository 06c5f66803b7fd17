// SPDX-License-Identifier: MIT
// A cache that was written for synchronous functions, round an asynchronous one.

#include <asio.hpp>
#include <greenback/greenback.hpp>

#include <chrono>
#include <iostream>
#include <map>
#include <string>
#include <utility>

int fetched = 0;

asio::awaitable<std::string> fetch(std::string name) {
    ++fetched;
    asio::steady_timer answer(co_await asio::this_coro::executor, std::chrono::milliseconds(1));
    co_await answer.async_wait(asio::use_awaitable);
    co_return "content of " + name;
}

// [decorator]
// Somebody's: takes a function, and returns one that remembers its results.
auto remembering(auto f) {
    return [f = std::move(f), known = std::map<std::string, std::string>()](std::string const& name) mutable {
        auto const found = known.find(name);
        return found != known.end() ? found->second : known[name] = f(name);
    };
}
// [/decorator]

// [use]
asio::awaitable<std::string> twice(auto fetch_cached) {
    std::string const first = co_await fetch_cached("page");
    std::string const again = co_await fetch_cached("page"); // not fetched: the cache is one for all calls
    co_return first + ", " + again;
}

asio::awaitable<std::string> with_a_cache() {
    auto const decorate = greenback::decorate_as_sync([](auto f) { return remembering(std::move(f)); });
    return twice(decorate(fetch)); // decorate(fetch) is an asynchronous function, as fetch is
}
// [/use]

int main() {
    asio::io_context loop;
    std::string result;
    asio::co_spawn(loop, with_a_cache(), [&](std::exception_ptr error, std::string text) {
        greenback::rethrow(error);
        result = text;
    });
    loop.run();
    std::cout << result << '\n';
    return result == "content of page, content of page" && fetched == 1 ? 0 : 1;
}
