// SPDX-License-Identifier: MIT
//
// A line protocol written for std::istream and std::ostream is served from tasks.

#include <greenback/greenback.hpp>

#include <asio.hpp>

#include <iostream>
#include <string>

using asio::ip::tcp;

// [server]
// Somebody else's: a calculator that adds the numbers of each line.
void calculate(std::istream& in, std::ostream& out) {
    for (std::string word; in >> word && word == "add";) {
        long sum = 0;
        for (long number = 0; in.peek() != '\n' && in >> number;)
            sum += number;
        out << sum << '\n';
    }
    out << "good bye" << std::endl;
}

void session(tcp::socket socket) {
    greenback::basic_iostream io(std::move(socket));
    calculate(io.in(), io.out()); // two streams: when the input has ended, the output has not
}
// [/server]

int main() {
    asio::io_context loop;
    tcp::acceptor acceptor(loop, {asio::ip::address_v4::loopback(), 0});
    std::string answers;
    auto const client = [&] {
        tcp::socket socket(loop);
        socket.async_connect(acceptor.local_endpoint(), greenback::use_portal);
        greenback::basic_iostream<tcp::socket&> io(socket);
        io << "add 1 2 3\nadd 40 2\n" << std::flush;
        socket.shutdown(tcp::socket::shutdown_send);
        for (std::string line; std::getline(io, line);)
            answers += line + '|';
    };
    greenback::spawn(loop, [&] { session(acceptor.async_accept(greenback::use_portal)); }, greenback::rethrow);
    greenback::spawn(loop, client, greenback::rethrow);
    loop.run();
    std::cout << answers << '\n';
    return answers == "6|42|good bye|" ? 0 : 1;
}
