// SPDX-License-Identifier: MIT
// docs/guide.md: the program as it was. It waits for one answer after the other.

#include "orders.hpp"
#include "price_server.hpp"

#include <asio.hpp>

#include <iostream>
#include <string>

using asio::ip::tcp;

// [bottom]
// The bottom: asks a server, and blocks the thread until it has answered.
class remote_prices : public price_source {
public:
    explicit remote_prices(tcp::endpoint const& server) : socket_(context_) { socket_.connect(server); }

    int price(std::string const& item) override {
        asio::write(socket_, asio::buffer(item + '\n'));
        std::string answer;
        asio::read_until(socket_, asio::dynamic_buffer(answer), '\n');
        return std::stoi(answer);
    }

private:
    asio::io_context context_;
    tcp::socket socket_;
};
// [/bottom]

// [top]
void print_invoice(order const& of, tcp::endpoint const& server) {
    remote_prices prices(server);
    std::cout << invoice(of, prices) << std::endl;
}

void print_all(tcp::endpoint const& server) {
    for (order const& each : orders)
        print_invoice(each, server);
}
// [/top]

int main() {
    price_server const server(1);
    print_all(server.endpoint());
}
