// SPDX-License-Identifier: MIT
// A synchronous build of an index needs several documents. They are fetched at the same time.

#include <greenback/greenback.hpp>

#include <asio.hpp>

#include <iostream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

// Stands for a download; "missing" fails.
asio::awaitable<std::string> fetch(std::string name) {
    asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::milliseconds(5));
    co_await timer.async_wait(asio::use_awaitable);
    if (name == "missing")
        throw std::runtime_error("no such document: " + name);
    co_return "<" + name + ">";
}

// Synchronous code that awaits.
std::string fetch_and_strip(std::string const& name) {
    std::string const text = greenback::await_(fetch(name));
    return text.substr(1, text.size() - 2);
}

// [await_all]
std::string build_index(std::vector<std::string> const& names) {
    std::vector<asio::awaitable<std::string>> downloads;
    for (std::string const& name : names)
        downloads.push_back(fetch(name));
    std::string index;
    for (std::string const& text : greenback::await_all(std::move(downloads)))
        index += text;
    return index;
}
// [/await_all]

// [synchronous]
std::string build_plain_index(std::vector<std::string> const& names) {
    std::vector<asio::awaitable<std::string>> downloads;
    for (std::string const& name : names) // each gets a portal of its own
        downloads.push_back(greenback::with_portal_run_sync(fetch_and_strip, name));
    std::string index;
    for (std::string const& text : greenback::await_all(std::move(downloads)))
        index += text;
    return index;
}
// [/synchronous]

} // namespace

int main() {
    asio::io_context loop;
    std::string index, plain, error;
    auto const task = [&] {
        index = build_index({"a", "b", "c"});
        plain = build_plain_index({"a", "b", "c"});
        try {
            build_index({"a", "missing", "c"});
        } catch (std::runtime_error const& e) {
            error = e.what();
        }
    };
    greenback::spawn(loop, task, greenback::rethrow);
    loop.run();
    std::cout << index << plain << ' ' << error << std::endl;
    return index == "<a><b><c>" && plain == "abc" && error == "no such document: missing" ? 0 : 1;
}
