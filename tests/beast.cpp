// SPDX-License-Identifier: MIT

#include <greenback/beast.hpp>

#include "support/asio.hpp"
#include "support/catch.hpp"
#include "support/every_kind.hpp"
#include "support/tasks.hpp"

#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>

using asio::ip::tcp;
using namespace std::chrono_literals;
namespace beast = boost::beast;
using greenback::sync_stream;

TEST_CASE("http") {
    asio::io_context context;
    tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
    tcp::socket a(context), b(context);
    a.connect(acceptor.local_endpoint());
    acceptor.accept(b);
    greenback::spawn(
        context,
        [&] {
            sync_stream<tcp::socket&> s(a);
            beast::http::request<beast::http::string_body> r(beast::http::verb::get, "/", 11, "hallo");
            r.prepare_payload();
            beast::http::write(s, r);
            beast::flat_buffer buffer;
            beast::http::response<beast::http::string_body> answer;
            beast::http::read(s, buffer, answer);
            CHECK(answer.body() == "HALLO");
            beast::websocket::stream<sync_stream<tcp::socket&>> ws(a);
            ws.handshake("here", "/");
            ws.write(asio::buffer("ping", 4));
            beast::flat_buffer in;
            ws.read(in);
            CHECK(beast::buffers_to_string(in.data()) == "ping");
            ws.close(beast::websocket::close_code::normal);
        },
        greenback::rethrow);
    greenback::spawn(
        context,
        [&] {
            sync_stream<tcp::socket> s(std::move(b));
            beast::flat_buffer buffer;
            beast::http::request<beast::http::string_body> r;
            beast::http::read(s, buffer, r);
            beast::http::response<beast::http::string_body> answer(beast::http::status::ok, 11, "HALLO");
            answer.prepare_payload();
            beast::http::write(s, answer);
            beast::websocket::stream<sync_stream<tcp::socket>> ws(std::move(s));
            ws.accept();
            beast::flat_buffer in;
            ws.read(in);
            ws.write(in.data());
            in.clear();
            beast::error_code ec;
            ws.read(in, ec);
            CHECK(ec == beast::websocket::error::closed);
        },
        greenback::rethrow);
    test::run_all(context);
}
