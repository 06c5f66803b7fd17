// SPDX-License-Identifier: MIT
// A server with asio::spawn. after.cpp is the same server with greenback.

#include "client.hpp"

#include <asio.hpp>
#include <asio/spawn.hpp>

#include <chrono>
#include <future>
#include <sstream>
#include <string>

using asio::ip::tcp;

// [before]
struct connection {
    tcp::socket socket;
    std::string buffer{};
};

std::string read_line(connection& c, asio::yield_context yield) {
    std::size_t const n = asio::async_read_until(c.socket, asio::dynamic_buffer(c.buffer), '\n', yield);
    std::string line = c.buffer.substr(0, n - 1);
    c.buffer.erase(0, n);
    return line;
}

int add(int a, int b, asio::yield_context yield) {
    asio::steady_timer thinking(yield.get_executor(), std::chrono::milliseconds(1));
    thinking.async_wait(yield);
    return a + b;
}

bool answer(connection& c, asio::yield_context yield) {
    std::istringstream line(read_line(c, yield));
    std::string command;
    int a = 0, b = 0;
    if (!(line >> command >> a >> b) || command != "add")
        return false;
    asio::async_write(c.socket, asio::buffer(std::to_string(add(a, b, yield)) + '\n'), yield);
    return true;
}

void session(tcp::socket socket, asio::yield_context yield) {
    connection c{std::move(socket)};
    while (answer(c, yield)) {
    }
}

void serve_one(asio::io_context& loop, tcp::acceptor& acceptor) {
    asio::spawn(
        loop, [&](asio::yield_context yield) { session(acceptor.async_accept(yield), yield); },
        [](std::exception_ptr error) {
            if (error)
                std::rethrow_exception(error);
        });
}
// [/before]

int main() {
    asio::io_context loop;
    tcp::acceptor acceptor(loop, {asio::ip::address_v4::loopback(), 0});
    serve_one(loop, acceptor);
    auto answered = std::async(std::launch::async, ask, acceptor.local_endpoint());
    loop.run();
    return answered.get() ? 0 : 1;
}
