// SPDX-License-Identifier: MIT
// JSON is parsed while it arrives: nlohmann::json reads a std::istream, and that awaits a socket. 50 texts at once on one
// thread.

#include "../support/run.hpp"

#include <greenback/basic_iostream.hpp>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

namespace {

using asio::ip::tcp;

constexpr int at_once = 50;
int parsing = 0, most_parsing = 0;

// [receive]
/// Synchronous: called on a portal. `parse` sends the request, reads until the server has closed, and waits where nothing
/// has arrived yet.
nlohmann::json receive(tcp::endpoint server, char const* request) {
    tcp::socket socket(greenback::await_(asio::this_coro::executor));
    socket.async_connect(server, greenback::use_portal);
    greenback::basic_iostream io(std::move(socket));
    inside const counted(parsing);
    most_parsing = std::max(most_parsing, parsing);
    io << request << '\n';
    return nlohmann::json::parse(io);
}
// [/receive]

// [converse]
/// Answers each value by its sum, until the other side has no more: what JSON-RPC does by pipes and sockets.
void converse(tcp::socket socket) {
    greenback::basic_iostream io(std::move(socket));
    while ((io.in() >> std::ws).peek() != EOF) {
        nlohmann::json numbers;
        io.in() >> numbers; // one value, and nothing behind it
        int sum = 0;
        for (int n : numbers)
            sum += n;
        io.out() << nlohmann::json{{"sum", sum}} << std::endl; // also if the other side has finished sending
    }
}
// [/converse]

/// Sends a text in pieces, the second half of it when `at_once` have asked for it. What is asked for may also be what
/// goes wrong in the middle: "end", "reset" the connection, or send nothing any more, "wait".
struct server {
    tcp::acceptor acceptor;
    std::string text;
    int asked = 0;
    asio::steady_timer gate{acceptor.get_executor(), asio::steady_timer::time_point::max()};

    asio::awaitable<void> serve() {
        for (;;)
            asio::co_spawn(acceptor.get_executor(), session(co_await acceptor.async_accept(asio::use_awaitable)),
                           [](std::exception_ptr) {}); // the client has gone: that is the client's business
    }
    asio::awaitable<void> session(tcp::socket socket) {
        std::string request;
        co_await asio::async_read_until(socket, asio::dynamic_buffer(request), '\n', asio::use_awaitable);
        auto const half = text.begin() + static_cast<std::ptrdiff_t>(text.size() / 2);
        co_await send(socket, {text.begin(), half});
        if (request == "end\n")
            co_return;
        if (request == "reset\n") {
            socket.set_option(asio::socket_base::linger(true, 0));
            socket.close();
            co_return;
        }
        greenback::error_code opened;
        if (++asked == at_once)
            gate.cancel();
        if (asked < at_once || request == "wait\n")
            co_await gate.async_wait(asio::redirect_error(asio::use_awaitable, opened));
        co_await send(socket, {half, text.end()});
    }
    static asio::awaitable<void> send(tcp::socket& socket, std::string part) {
        asio::steady_timer pause(socket.get_executor());
        for (std::size_t sent = 0; sent < part.size(); sent += 40) {
            std::string const piece = part.substr(sent, 40);
            co_await asio::async_write(socket, asio::buffer(piece), asio::use_awaitable);
            pause.expires_after(std::chrono::milliseconds(1)); // it arrives by itself
            co_await pause.async_wait(asio::use_awaitable);
        }
    }
};

} // namespace

int main() try {
    nlohmann::json original;
    for (int i = 0; i < 20; ++i)
        original["numbers"].push_back({{"decimal", i}, {"text", std::string(static_cast<std::size_t>(i), 'x')}});
    asio::io_context loop;
    tcp::endpoint const any(asio::ip::address_v4::loopback(), 0);
    server server{tcp::acceptor(loop, any), original.dump()};
    asio::co_spawn(loop, server.serve(), greenback::rethrow);
    auto const from = server.acceptor.local_endpoint();

    run_at_once(loop, at_once, [&] { require(receive(from, "all") == original, "another text has arrived"); });
    require(most_parsing == at_once, "the parsers have waited for each other");
    run_at_once(loop, 1, [&] {
        require(throws<nlohmann::json::parse_error>([&] { receive(from, "end"); }), "half a text was parsed");
        require(throws<greenback::system_error>([&] { receive(from, "reset"); }), "the connection's error is lost");
    });
    {
        asio::io_context doomed;
        greenback::spawn(doomed, [&] { receive(from, "wait"); }, greenback::rethrow);
        while (parsing == 0)
            doomed.run_one();
    } // destroys the task, which unwinds the parser
    require(parsing == 0 && greenback::stats().live == 0, "the parser has not been unwound");

    tcp::acceptor acceptor(loop, any);
    greenback::spawn(loop, [&] { converse(acceptor.async_accept(greenback::use_portal)); }, greenback::rethrow);
    run_at_once(loop, 1, [&] {
        tcp::socket socket(loop);
        socket.async_connect(acceptor.local_endpoint(), greenback::use_portal);
        greenback::basic_iostream<tcp::socket&> io(socket);
        nlohmann::json one, two;
        io << "[1, 2]" << std::flush;
        io >> one;
        io << " [3, 4]" << std::flush;
        socket.shutdown(tcp::socket::shutdown_send);
        io >> two;
        require(one["sum"] == 3 && two["sum"] == 7, "wrong sums");
    });
    std::puts("50 texts at once");
} catch (std::exception const& e) {
    std::fprintf(stderr, "json: %s\n", e.what());
    return 1;
}
