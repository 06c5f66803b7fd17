// SPDX-License-Identifier: MIT
// An HTTP server for clients on the same thread: none has an answer before `count` have asked.
#pragma once

#include "../support/server.hpp"

#include <string>
#include <utility>

class page_server {
public:
    page_server(asio::io_context& loop, int count)
        : all_(loop, count), server_(loop, [this](asio::ip::tcp::socket socket) { return answer(std::move(socket)); }) {
    }
    int port() const { return server_.endpoint().port(); }

private:
    asio::awaitable<void> answer(asio::ip::tcp::socket socket) {
        std::string request;
        co_await asio::async_read_until(socket, asio::dynamic_buffer(request), "\r\n\r\n", asio::use_awaitable);
        co_await all_.wait();
        std::string const path = request.substr(4, request.find(' ', 4) - 4);
        std::string const response = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nThis is " + path;
        co_await asio::async_write(socket, asio::buffer(response), asio::use_awaitable);
    }

    meeting all_;
    server server_;
};
