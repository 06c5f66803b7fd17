// SPDX-License-Identifier: MIT
// The far side of the examples with libraries: a TCP server on the same loop.
#pragma once

#include <asio.hpp>
#include <greenback/greenback.hpp>

#include <exception>
#include <functional>
#include <utility>

/// Lets nobody go on before `count` are there, and all who come later: it shows whether they wait at once.
class meeting {
public:
    meeting(asio::io_context& loop, int count) : open_(loop, asio::steady_timer::time_point::max()), missing_(count) {}

    /// Synchronous code writes `greenback::await_(meeting.wait())`.
    asio::awaitable<void> wait() {
        greenback::error_code opened;
        ++came_;
        if (--missing_ == 0)
            open_.cancel();
        if (missing_ > 0)
            co_await open_.async_wait(asio::redirect_error(asio::use_awaitable, opened));
    }
    int came() const { return came_; }

private:
    asio::steady_timer open_;
    int missing_, came_ = 0;
};

class server {
public:
    using tcp = asio::ip::tcp;

    server(asio::io_context& loop, std::function<asio::awaitable<void>(tcp::socket)> session)
        : acceptor_(loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0)), session_(std::move(session)) {
        acceptor_.listen(1024);
        asio::co_spawn(loop, serve(), greenback::rethrow);
    }
    tcp::endpoint endpoint() const { return acceptor_.local_endpoint(); }

private:
    asio::awaitable<void> serve() {
        for (;;) {
            tcp::socket socket = co_await acceptor_.async_accept(asio::use_awaitable);
            asio::co_spawn(acceptor_.get_executor(), session_(std::move(socket)),
                           [](std::exception_ptr) {}); // the client has gone: that is the client's business
        }
    }

    tcp::acceptor acceptor_;
    std::function<asio::awaitable<void>(tcp::socket)> session_;
};
