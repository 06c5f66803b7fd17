// SPDX-License-Identifier: MIT

#include "support/asio.hpp"
#include "support/catch.hpp"
#include "support/tasks.hpp"

#include <string>

using asio::ip::tcp;
using greenback::basic_iostream;

TEST_CASE("a line written to one end is read at the other", "[basic_iostream]") {
    asio::io_context context;
    tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
    tcp::socket a(context), b(context);
    a.connect(acceptor.local_endpoint());
    acceptor.accept(b);
    test::run_task(context, context, greenback::with_portal_run_sync([&] {
                       basic_iostream<tcp::socket&> one(a);
                       basic_iostream other(std::move(b));
                       one << "a line\n" << 5 << std::flush;
                       std::string line;
                       CHECK(std::getline(other, line));
                       CHECK(line == "a line");
                   }));
}
