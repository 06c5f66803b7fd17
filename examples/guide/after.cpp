// SPDX-License-Identifier: MIT
// docs/guide.md: the same program, with a bottom and a top that are asynchronous. All orders wait at the same time.

#include "orders.hpp"
#include "price_server.hpp"

#include <asio.hpp>
#include <greenback/greenback.hpp>

#include <iostream>
#include <string>

using asio::ip::tcp;

// [bottom]
// The bottom: asks a server; meanwhile the thread does other things.
class remote_prices : public price_source {
public:
    explicit remote_prices(tcp::endpoint const& server) : socket_(greenback::await_(asio::this_coro::executor)) {
        socket_.async_connect(server, greenback::use_portal);
    }

    int price(std::string const& item) override {
        asio::async_write(socket_, asio::buffer(item + '\n'), greenback::use_portal);
        std::string answer;
        asio::async_read_until(socket_, asio::dynamic_buffer(answer), '\n', greenback::use_portal);
        return std::stoi(answer);
    }

private:
    tcp::socket socket_;
};
// [/bottom]

// [top]
void print_invoice(order const& of, tcp::endpoint const& server) {
    remote_prices prices(server);
    std::cout << invoice(of, prices) << std::endl;
}

void print_all(tcp::endpoint const& server) {
    asio::io_context loop;
    for (order const& each : orders)
        greenback::spawn(loop, [&] { print_invoice(each, server); }, greenback::rethrow);
    loop.run();
}
// [/top]

int main() {
    price_server const server(orders.size());
    print_all(server.endpoint());
}
