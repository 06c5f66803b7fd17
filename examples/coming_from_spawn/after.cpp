// SPDX-License-Identifier: MIT
// The server of before.cpp, with greenback.

#include "client.hpp"

#include <asio.hpp>
#include <greenback/greenback.hpp>

#include <chrono>
#include <future>
#include <sstream>
#include <string>

using asio::ip::tcp;

// [after]
struct connection {
    tcp::socket socket;
    std::string buffer{};
};

std::string read_line(connection& c) {
    std::size_t const n = asio::async_read_until(c.socket, asio::dynamic_buffer(c.buffer), '\n', greenback::use_portal);
    std::string line = c.buffer.substr(0, n - 1);
    c.buffer.erase(0, n);
    return line;
}

int add(int a, int b) {
    greenback::sleep_for(std::chrono::milliseconds(1));
    return a + b;
}

bool answer(connection& c) {
    std::istringstream line(read_line(c));
    std::string command;
    int a = 0, b = 0;
    if (!(line >> command >> a >> b) || command != "add")
        return false;
    asio::async_write(c.socket, asio::buffer(std::to_string(add(a, b)) + '\n'), greenback::use_portal);
    return true;
}

void session(tcp::socket socket) {
    connection c{std::move(socket)};
    while (answer(c)) {
    }
}

void serve_one(asio::io_context& loop, tcp::acceptor& acceptor) {
    auto const task = [&] { session(acceptor.async_accept(greenback::use_portal)); };
    greenback::spawn(loop, task, greenback::rethrow);
}
// [/after]

int main() {
    asio::io_context loop;
    tcp::acceptor acceptor(loop, {asio::ip::address_v4::loopback(), 0});
    serve_one(loop, acceptor);
    auto answered = std::async(std::launch::async, ask, acceptor.local_endpoint());
    loop.run();
    return answered.get() ? 0 : 1;
}
