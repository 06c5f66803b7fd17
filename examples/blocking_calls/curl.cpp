// SPDX-License-Identifier: MIT
// libcurl's easy interface, which waits for its sockets by itself: 100 transfers at once on one thread, which is the
// server's thread as well.

#include "../support/run.hpp"
#include "../support/server.hpp"

#include <algorithm>
#include <iostream>

// [fetch]
#include <greenback/blocking_calls.hpp>
#include <greenback/greenback.hpp>

#include <asio.hpp>
#include <curl/curl.h>

#include <memory>
#include <stdexcept>
#include <string>

extern "C" std::size_t append(char* data, std::size_t, std::size_t size, void* body) {
    static_cast<std::string*>(body)->append(data, size);
    return size;
}

/// Synchronous, and as one would write it for threads.
std::string fetch(std::string const& url) {
    std::unique_ptr<CURL, void (*)(CURL*)> const curl(curl_easy_init(), curl_easy_cleanup);
    std::string body;
    curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, append);
    curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &body);
    // It polls its sockets inside. On a portal that awaits, and other tasks run.
    CURLcode const result = greenback::blocking_call([&] { return curl_easy_perform(curl.get()); });
    if (result != CURLE_OK)
        throw std::runtime_error(curl_easy_strerror(result));
    return body;
}
// [/fetch]

int main() {
    constexpr int at_once = 100;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    asio::io_context loop;
    meeting all(loop, at_once); // nobody is answered before the hundredth has asked
    int asked = 0, most = 0;
    server const http(loop, [&](asio::ip::tcp::socket socket) -> asio::awaitable<void> {
        std::string request;
        co_await asio::async_read_until(socket, asio::dynamic_buffer(request), "\r\n\r\n", asio::use_awaitable);
        most = std::max(most, ++asked);
        co_await all.wait();
        --asked;
        std::string const answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
        co_await asio::async_write(socket, asio::buffer(answer), asio::use_awaitable);
    });
    std::string const url = "http://127.0.0.1:" + std::to_string(http.endpoint().port()) + "/";

    // [tasks]
    run_at_once(loop, at_once, [&] { require(fetch(url) == "hello", "another answer"); });
    // [/tasks]

    require(most == at_once, "they were not all waiting at once");
    require(greenback::blocking_calls_awaited() >= at_once, "nothing was awaited");
    std::cout << at_once << " transfers at once on one thread; " << greenback::blocking_calls_awaited()
              << " calls awaited\n";
}
