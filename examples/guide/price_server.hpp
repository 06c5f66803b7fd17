// SPDX-License-Identifier: MIT
// The server that the guide's programs ask: a real one, in a thread of its own. It is plain Asio.
#pragma once

#include <asio.hpp>

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

/// Answers a line with its length, but only when `at_once` questions are waiting, as a server does that looks prices up
/// in batches. So whoever asks one question after the other gets an answer from a server with `at_once` 1 only.
class price_server {
public:
    explicit price_server(std::size_t at_once)
        : at_once_(at_once), acceptor_(loop_, {asio::ip::address_v4::loopback(), 0}),
          endpoint_(acceptor_.local_endpoint()) {
        asio::co_spawn(loop_, accept(), asio::detached);
        thread_ = std::thread([this] { loop_.run(); });
    }

    ~price_server() {
        loop_.stop();
        thread_.join();
    }

    price_server(price_server const&) = delete;
    price_server& operator=(price_server const&) = delete;

    asio::ip::tcp::endpoint endpoint() const { return endpoint_; }

private:
    asio::awaitable<void> accept() {
        for (;;)
            asio::co_spawn(loop_, serve(co_await acceptor_.async_accept(asio::use_awaitable)), asio::detached);
    }

    asio::awaitable<void> serve(asio::ip::tcp::socket client) {
        std::string line;
        for (;;) {
            auto const length = co_await asio::async_read_until(client, asio::dynamic_buffer(line), '\n', //
                                                                asio::use_awaitable);
            std::string const answer = std::to_string(length - 1) + '\n';
            line.erase(0, length);
            co_await batch();
            co_await asio::async_write(client, asio::buffer(answer), asio::use_awaitable);
        }
    }

    /// Waits until enough questions are waiting.
    asio::awaitable<void> batch() {
        asio::steady_timer ready(loop_, asio::steady_timer::time_point::max());
        waiting_.push_back(&ready);
        if (waiting_.size() >= at_once_) {
            for (asio::steady_timer* timer : std::exchange(waiting_, {}))
                timer->expires_at(asio::steady_timer::time_point::min());
        }
        try {
            co_await ready.async_wait(asio::use_awaitable);
        } catch (std::exception const&) { // a timer that is set anew ends its waits so
        }
    }

    std::size_t at_once_;
    std::vector<asio::steady_timer*> waiting_;
    asio::io_context loop_;
    asio::ip::tcp::acceptor acceptor_;
    asio::ip::tcp::endpoint endpoint_;
    std::thread thread_;
};
