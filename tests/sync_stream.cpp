// SPDX-License-Identifier: MIT

#include <greenback/basic_iostream.hpp>
#include <greenback/sync_stream.hpp>

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/event_loop.hpp"
#include "support/every_kind.hpp"
#include "support/tasks.hpp"
using asio::ip::tcp;
using namespace std::chrono_literals;
TEST_CASE("x") {
    asio::io_context context;
    tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
    tcp::socket a(context), b(context);
    a.connect(acceptor.local_endpoint());
    acceptor.accept(b);
    test::run_task(context, context.get_executor(), greenback::with_portal_run_sync([&] {
                       greenback::sync_stream<tcp::socket&> s(a);
                       greenback::sync_stream t(std::move(b));
                       asio::write(s, asio::buffer("hallo", 5));
                       char x[5];
                       asio::read(t, asio::buffer(x));
                       CHECK(std::string(x, 5) == "hallo");
                       t.expires_after(10ms);
                       test::error_code ec;
                       t.read_some(asio::buffer(x), ec);
                       CHECK(ec == asio::error::timed_out);
                       t.expires_never();
                       asio::write(s, asio::buffer("hallo", 5));
                       CHECK(t.read_some(asio::buffer(x)) == 5);
                       greenback::basic_iostream<tcp::socket&> io(a);
                       greenback::basic_iostream io2(std::move(t.next_layer()));
                       io << "a line\n" << 5 << std::flush;
                       std::string l;
                       std::getline(io2, l);
                       CHECK(l == "a line");
                       auto io3 = std::move(io2);
                       CHECK(io3.get() == '5');
                       l.clear();
                   }));
}
