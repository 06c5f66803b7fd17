// SPDX-License-Identifier: MIT
// JSON is parsed while it arrives: nlohmann::json reads a std::istream, and that awaits a socket. 50 texts at once on
// one thread.

#include "../support/run.hpp"
#include "../support/server.hpp"

#include <greenback/basic_iostream.hpp>

#include <climits>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

namespace {

using asio::ip::tcp;
counter parsing;

// [receive]
/// Synchronous: called on a portal. `parse` sends the request, reads until the server has closed, and waits where
/// nothing has arrived yet.
nlohmann::json receive(tcp::endpoint server, char const* request) {
    tcp::socket socket(greenback::await_(asio::this_coro::executor));
    socket.async_connect(server, greenback::use_portal);
    greenback::basic_iostream io(std::move(socket));
    inside const counted(parsing);
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

asio::awaitable<void> send(tcp::socket& socket, std::string part) {
    asio::steady_timer pause(socket.get_executor());
    for (std::size_t sent = 0; sent < part.size(); sent += 40) {
        std::string const piece = part.substr(sent, 40);
        co_await asio::async_write(socket, asio::buffer(piece), asio::use_awaitable);
        pause.expires_after(std::chrono::milliseconds(1)); // it arrives by itself
        co_await pause.async_wait(asio::use_awaitable);
    }
}

/// Sends a text in pieces; the second half when `all` have the first. What is asked for may be what goes wrong then.
asio::awaitable<void> answer(tcp::socket socket, std::string const& text, meeting& all, meeting& never) {
    std::string request;
    co_await asio::async_read_until(socket, asio::dynamic_buffer(request), '\n', asio::use_awaitable);
    co_await send(socket, text.substr(0, text.size() / 2));
    co_await all.wait();
    if (request == "stop\n")
        co_await never.wait();
    if (request == "reset\n") {
        socket.set_option(asio::socket_base::linger(true, 0));
        socket.close();
    }
    if (request != "end\n")
        co_await send(socket, text.substr(text.size() / 2));
}

} // namespace

int main() try {
    nlohmann::json original;
    for (int i = 0; i < 20; ++i)
        original["numbers"].push_back({{"decimal", i}, {"text", std::string(static_cast<std::size_t>(i), 'x')}});
    std::string const text = original.dump();
    asio::io_context loop;
    meeting all(loop, 50), never(loop, INT_MAX);
    server const server(loop, [&](tcp::socket socket) { return answer(std::move(socket), text, all, never); });
    run_at_once(loop, 50, [&] { require(receive(server.endpoint(), "all") == original, "wrong text"); });
    require(parsing.most == 50, "the parsers have waited for each other");

    run_at_once(loop, 1, [&] {
        auto const fails = [&](char const* how) { return [=, &server] { receive(server.endpoint(), how); }; };
        require(throws<nlohmann::json::parse_error>(fails("end")), "half a text was parsed");
        require(throws<greenback::system_error>(fails("reset")), "the connection's error was lost");
    });
    {
        asio::io_context doomed;
        greenback::spawn(doomed, [&] { receive(server.endpoint(), "stop"); }, greenback::rethrow);
        while (parsing.now == 0)
            doomed.run_one();
    } // destroys the task, which unwinds the parser
    require(parsing.now == 0 && greenback::stats().live == 0, "the parser has not been unwound");

    tcp::acceptor acceptor(loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
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
