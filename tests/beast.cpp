// SPDX-License-Identifier: MIT
//
// Boost.Beast's synchronous functions over synchronous streams that await.

#include <greenback/beast.hpp>

#include "support/asio.hpp"
#include "support/catch.hpp"
#include "support/event_loop.hpp"
#include "support/every_kind.hpp"
#include "support/sockets.hpp"
#include "support/tasks.hpp"

#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>

#include <chrono>
#include <string>

using asio::ip::tcp;
using greenback::rethrow;
using greenback::sync_stream;
using test::connection;
using test::error_code;
using namespace std::chrono_literals;
namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;

namespace {

template <class Stream> std::string read_text(websocket::stream<Stream>& ws) {
    beast::flat_buffer in;
    ws.read(in);
    return beast::buffers_to_string(in.data());
}

// [echo]
// Answers each message by itself, until the peer closes. Returns how it ended.
template <class Stream> error_code echo(websocket::stream<Stream>& ws) {
    ws.accept();
    for (;;) {
        beast::flat_buffer in;
        error_code ec;
        ws.read(in, ec);
        if (ec)
            return ec;
        ws.write(in.data());
    }
}
// [/echo]

} // namespace

TEST_CASE("HTTP is read and written over a synchronous stream", "[beast]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context(1);
    connection c(context);
    greenback::spawn(
        context,
        [&] {
            sync_stream s(std::move(c.b));
            s.expires_after(1h);
            beast::flat_buffer buffer;
            for (;;) {
                http::request<http::string_body> request;
                error_code ec;
                http::read(s, buffer, request, ec);
                if (ec == http::error::end_of_stream)
                    break;
                REQUIRE_FALSE(ec);
                http::response<http::string_body> answer(http::status::ok, 11, "you said " + request.body());
                answer.prepare_payload();
                http::write(s, answer);
            }
        },
        rethrow);
    test::run_task(context, context, test::in_portal(how, [&] {
                       sync_stream<tcp::socket&> s(c.a);
                       beast::flat_buffer buffer;
                       for (std::string const& text : {std::string("hello"), std::string(300000, 'x')}) {
                           http::request<http::string_body> request(http::verb::post, "/", 11, text);
                           request.prepare_payload();
                           http::write(s, request);
                           http::response<http::string_body> answer;
                           http::read(s, buffer, answer);
                           CHECK(answer.body() == "you said " + text);
                       }
                       c.a.shutdown(tcp::socket::shutdown_send);
                   }));
}

TEST_CASE("a websocket opens, talks and closes over a synchronous stream, on either side", "[beast]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    bool const server_closes = GENERATE(false, true);
    bool const deadline = GENERATE(false, true);
    CAPTURE(server_closes, deadline);
    asio::io_context context(1);
    connection c(context);
    bool answered = false, others_ran = false;
    error_code ended;
    greenback::spawn(
        context,
        [&] {
            // [open]
            websocket::stream<sync_stream<tcp::socket>> ws(std::move(c.b));
            // [/open]
            if (server_closes) {
                ws.accept();
                ws.write(asio::buffer(read_text(ws)));
                ws.close(websocket::close_code::normal);
            } else {
                ended = echo(ws);
            }
            CHECK_FALSE(ws.next_layer().next_layer().is_open());
        },
        rethrow);
    test::run_task(context, context, test::in_portal(how, [&] {
                       websocket::stream<sync_stream<tcp::socket&>> ws(c.a);
                       if (deadline)
                           ws.next_layer().expires_after(1h);
                       ws.handshake("here", "/");
                       ws.write(asio::buffer("ping", 4));
                       answered = read_text(ws) == "ping";
                       asio::post(context, [&] { others_ran = true; });
                       if (server_closes) {
                           beast::flat_buffer in;
                           ws.read(in, ended);
                       } else {
                           ws.close(websocket::close_code::normal); // waits for the peer, and not the thread
                       }
                   }));
    CHECK(answered);
    CHECK(others_ran);
    CHECK(ended == websocket::error::closed);
    CHECK_FALSE(c.a.is_open());
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("the end of a websocket is under the stream's deadline", "[beast]") {
    asio::io_context context(1);
    connection c(context);
    test::run_task(context, context, greenback::with_portal_run_sync([&] {
                       sync_stream<tcp::socket&> s(c.a);
                       s.expires_after(2ms);
                       for (auto role : {beast::role_type::client, beast::role_type::server}) {
                           error_code ec;
                           teardown(role, s, ec); // the peer doesn't close
                           CHECK(ec == asio::error::timed_out);
                       }
                       s.expires_never();
                       c.b.close();
                       error_code ec;
                       teardown(beast::role_type::client, s, ec);
                       CHECK_FALSE(ec);
                       CHECK_FALSE(c.a.is_open());
                   }));
}

TEST_CASE("a task destroyed while its websocket closes is unwound", "[beast]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    bool unwound = false;
    {
        asio::io_context context(1);
        connection c(context);
        asio::co_spawn(context,
                       test::in_portal(how,
                                       [&] {
                                           sync_stream<tcp::socket&> s(c.a);
                                           error_code ec;
                                           try {
                                               teardown(beast::role_type::server, s, ec);
                                           } catch (greenback::abandoned const&) {
                                               unwound = true;
                                               throw;
                                           }
                                       }),
                       rethrow);
        test::poll_all(context);
    }
    CHECK(unwound);
}

TEST_CASE("the end of a websocket without a portal is no_portal", "[beast]") {
    asio::io_context context(1);
    connection c(context);
    sync_stream<tcp::socket&> s(c.a);
    error_code ec;
    CHECK_THROWS_AS(teardown(beast::role_type::client, s, ec), greenback::no_portal);
}
