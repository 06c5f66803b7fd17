// SPDX-License-Identifier: MIT
// Boost.Beast's synchronous HTTP and websockets: server and clients are written as for a thread for each connection,
// and run on one thread together, 20 connections at once.

#include "../support/run.hpp"
#include "../support/server.hpp"

#include <greenback/beast.hpp>

#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <cstdio>
#include <string>

namespace {

namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
using asio::ip::tcp;
using stream = greenback::sync_stream<tcp::socket>;

// [server]
/// Synchronous, as is everything here: called on a portal.
void echo(websocket::stream<stream> ws) {
    beast::flat_buffer message;
    for (;;) {
        greenback::error_code ec;
        ws.read(message, ec);
        if (ec == websocket::error::closed)
            return;
        if (ec)
            throw greenback::system_error(ec);
        ws.text(ws.got_text());
        ws.write(message.data());
        message.clear();
    }
}

void serve(tcp::socket socket, meeting& all) {
    stream peer(std::move(socket));
    peer.expires_after(std::chrono::seconds(30)); // for the connection
    beast::flat_buffer buffer;
    http::request<http::string_body> request;
    http::read(peer, buffer, request);
    greenback::await_(all.wait()); // for 20 of them, to show that they wait at once
    if (websocket::is_upgrade(request)) {
        websocket::stream<stream> ws(std::move(peer));
        ws.accept(request);
        return echo(std::move(ws));
    }
    http::response<http::string_body> response(http::status::ok, request.version());
    response.body() = "This is " + std::string(request.target());
    response.prepare_payload();
    http::write(peer, response);
}
// [/server]

// [client]
stream connect(tcp::endpoint server) {
    stream result(greenback::await_(asio::this_coro::executor));
    result.next_layer().async_connect(server, greenback::use_portal);
    result.expires_after(std::chrono::seconds(30));
    return result;
}

std::string get(tcp::endpoint server, std::string const& path) {
    stream peer = connect(server);
    http::request<http::empty_body> request(http::verb::get, path, 11);
    request.set(http::field::host, "localhost");
    http::write(peer, request);
    beast::flat_buffer buffer;
    http::response<http::string_body> response;
    http::read(peer, buffer, response);
    return response.body();
}

std::string say(tcp::endpoint server, std::string const& text) {
    websocket::stream<stream> ws(connect(server));
    ws.handshake("localhost", "/echo");
    ws.write(asio::buffer(text));
    beast::flat_buffer answer;
    ws.read(answer);
    ws.close(websocket::close_code::normal);
    return beast::buffers_to_string(answer.data());
}
// [/client]

} // namespace

int main() try {
    asio::io_context loop;
    tcp::acceptor acceptor(loop, {asio::ip::address_v4::loopback(), 0});
    auto const server = acceptor.local_endpoint();
    meeting pages(loop, 20), chats(loop, 20);
    for (int i = 0; i < 40; ++i)
        greenback::spawn(
            loop, [&, i] { serve(acceptor.async_accept(greenback::use_portal), i < 20 ? pages : chats); },
            greenback::rethrow);
    run_at_once(loop, 20, [&] { require(get(server, "/page") == "This is /page", "another page has arrived"); });
    run_at_once(loop, 20, [&] { require(say(server, "Hello") == "Hello", "another text has arrived"); });
    loop.restart();
    loop.run(); // until the servers have ended, too
    {
        asio::io_context doomed;
        greenback::spawn(doomed, [&] { get(server, "/nobody accepts any more"); }, greenback::rethrow);
        doomed.run_for(std::chrono::milliseconds(20));
        require(greenback::stats().suspended == 1, "the client does not wait");
    } // destroys the task, which unwinds Beast
    require(greenback::stats().live == 0, "not everything has ended");
    std::puts("20 connections at once");
} catch (std::exception const& e) {
    std::fprintf(stderr, "beast: %s\n", e.what());
    return 1;
}
