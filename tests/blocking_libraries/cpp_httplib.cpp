// SPDX-License-Identifier: MIT
//
// cpp-httplib's client on portals.
//
// What it makes of a call that fails because its task is cancelled or destroyed (ECANCELED): no response, and
// Error::Read, as when its own timeout passes.

#include "blocking_libraries/calls.hpp"
#include "blocking_libraries/http_server.hpp"

#include <httplib.h>

#include <chrono>
#include <memory>
#include <string>

using namespace std::chrono_literals;

namespace {

std::unique_ptr<httplib::Client> client(bool tls) {
    auto c = tls ? std::make_unique<httplib::Client>("https://localhost:" + std::to_string(test::web().https_port()))
                 : std::make_unique<httplib::Client>("http://localhost:" + std::to_string(test::web().http_port()));
    c->set_read_timeout(60s);
    if (tls)
        c->set_ca_cert_path(test::web().certificate());
    return c;
}

} // namespace

TEST_CASE("cpp-httplib: many requests wait at once on one thread", "[blocking_libraries]") {
    bool const tls = GENERATE(false, true);
    test::check_that_they_wait_together([&] {
        auto const c = client(tls);
        auto const r = c->Get("/" + std::to_string(test::each_waits.count()));
        INFO(httplib::to_string(r.error()));
        REQUIRE(r);
        CHECK(r->status == 200);
        CHECK(r->body == "hello");
    });
}

TEST_CASE("cpp-httplib: a request whose task is cancelled", "[blocking_libraries]") {
    bool const tls = GENERATE(false, true);
    int const before = test::web().requests();
    test::on_portal_cancelled_when([&] { return test::web().requests() > before; },
                                   [&] {
                                       auto const c = client(tls);
                                       auto const r = c->Get("/60000");
                                       CHECK_FALSE(r);
                                       CHECK(r.error() == httplib::Error::Read);
                                   });
}

TEST_CASE("cpp-httplib: a request whose task is destroyed", "[blocking_libraries]") {
    bool const tls = GENERATE(false, true);
    int const before = test::web().requests();
    auto error = httplib::Error::Success;
    test::on_portal_destroyed_when([&] { return test::web().requests() > before; },
                                   [&] {
                                       auto const c = client(tls);
                                       error = c->Get("/60000").error();
                                   });
    CHECK(error == httplib::Error::Read);
}

TEST_CASE("cpp-httplib: a handshake whose task is cancelled", "[blocking_libraries]") {
    test::silent_server const server;
    bool waiting = false;
    test::on_portal_cancelled_when([&] { return waiting; },
                                   [&] {
                                       httplib::Client c("https://127.0.0.1:" + std::to_string(server.port()));
                                       waiting = true;
                                       auto const r = c.Get("/");
                                       CHECK_FALSE(r);
                                       CHECK(r.error() == httplib::Error::SSLConnection);
                                   });
}

TEST_CASE("cpp-httplib: its own timeout", "[blocking_libraries]") {
    bool const tls = GENERATE(false, true);
    test::on_portal([&] {
        auto const c = client(tls);
        c->set_read_timeout(300ms);
        auto const r = c->Get("/60000");
        CHECK_FALSE(r);
        CHECK(r.error() == httplib::Error::Read);
    });
}
