// SPDX-License-Identifier: MIT
// The far side of the examples with libraries: a TCP server on the same loop, which answers a line by a line.
#pragma once

#include <asio.hpp>
#include <greenback/greenback.hpp>

#include <algorithm>
#include <exception>
#include <functional>
#include <string>
#include <utility>

/// Gives no answer before `at_once` questions are waiting for one, so that it shows whether they do wait at once. It
/// answers all further ones immediately, and those that `answer` has the empty text for never.
class line_server {
public:
    using tcp = asio::ip::tcp;

    line_server(asio::io_context& loop, int at_once, std::function<std::string(std::string)> answer)
        : acceptor_(loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0)), missing_(at_once),
          answer_(std::move(answer)) {
        acceptor_.listen(1024);
        asio::co_spawn(loop, serve(), greenback::rethrow);
    }

    tcp::endpoint endpoint() const { return acceptor_.local_endpoint(); }
    int most_waiting() const { return most_waiting_; }

private:
    asio::awaitable<void> serve() {
        for (;;)
            asio::co_spawn(acceptor_.get_executor(), session(co_await acceptor_.async_accept(asio::use_awaitable)),
                           [](std::exception_ptr) {}); // the client has gone: that is the client's business
    }

    asio::awaitable<void> session(tcp::socket socket) {
        std::string line;
        co_await asio::async_read_until(socket, asio::dynamic_buffer(line), '\n', asio::use_awaitable);
        line = answer_(line.substr(0, line.find_first_of("\r\n")));
        most_waiting_ = std::max(most_waiting_, ++waiting_);
        greenback::error_code opened;
        if (--missing_ == 0)
            all_here_.cancel();
        if (missing_ > 0 || line.empty()) {
            asio::steady_timer& until = line.empty() ? never_ : all_here_;
            co_await until.async_wait(asio::redirect_error(asio::use_awaitable, opened));
        }
        --waiting_;
        line += '\n';
        co_await asio::async_write(socket, asio::buffer(line), asio::use_awaitable);
    }

    tcp::acceptor acceptor_;
    asio::steady_timer all_here_{acceptor_.get_executor(), asio::steady_timer::time_point::max()};
    asio::steady_timer never_{acceptor_.get_executor(), asio::steady_timer::time_point::max()};
    int missing_, waiting_ = 0, most_waiting_ = 0;
    std::function<std::string(std::string)> answer_;
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
