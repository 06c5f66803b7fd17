// SPDX-License-Identifier: MIT
// A server that answers a line by a line, and how to ask it.
#pragma once

#include "server.hpp"

#include <climits>
#include <functional>
#include <string>
#include <utility>

/// Gives no answer before `at_once` questions wait for one; and none to those that `answer` has the empty text for.
class line_server {
public:
    line_server(asio::io_context& loop, int at_once, std::function<std::string(std::string)> answer)
        : all_(loop, at_once), never_(loop, INT_MAX), answer_(std::move(answer)),
          server_(loop, [this](asio::ip::tcp::socket socket) { return session(std::move(socket)); }) {}

    asio::ip::tcp::endpoint endpoint() const { return server_.endpoint(); }

private:
    asio::awaitable<void> session(asio::ip::tcp::socket socket) {
        std::string line;
        co_await asio::async_read_until(socket, asio::dynamic_buffer(line), '\n', asio::use_awaitable);
        line.pop_back();
        co_await all_.wait();
        line = answer_(line);
        if (line.empty())
            co_await never_.wait();
        line += '\n';
        co_await asio::async_write(socket, asio::buffer(line), asio::use_awaitable);
    }

    meeting all_, never_;
    std::function<std::string(std::string)> answer_;
    server server_;
};

/// Synchronous: called on a portal.
inline std::string ask(asio::ip::tcp::endpoint server, std::string line) {
    asio::ip::tcp::socket socket(greenback::await_(asio::this_coro::executor));
    socket.async_connect(server, greenback::use_portal);
    line += '\n';
    asio::async_write(socket, asio::buffer(line), greenback::use_portal);
    std::string answer;
    asio::async_read_until(socket, asio::dynamic_buffer(answer), '\n', greenback::use_portal);
    return answer.substr(0, answer.find('\n'));
}
