// SPDX-License-Identifier: MIT
//
// OpenSSL's own sockets (BIO_new_connect, BIO_new_ssl_connect) on portals.
//
// What it makes of a call that fails because its task is cancelled or destroyed (ECANCELED): BIO_read gives -1,
// BIO_should_retry is false, errno is ECANCELED, and OpenSSL's queue of errors is empty.

#include "blocking_libraries/calls.hpp"
#include "blocking_libraries/http_server.hpp"
#include "blocking_libraries/servers.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cerrno>
#include <string>

#include <sys/socket.h>
#include <sys/time.h>

namespace {

using bio = test::handle<BIO, BIO_free_all>;
using tls_context = test::handle<SSL_CTX, SSL_CTX_free>;

/// A client that trusts the server's certificate.
SSL_CTX* client() {
    static tls_context const the = [] {
        tls_context context(SSL_CTX_new(TLS_client_method()));
        REQUIRE(SSL_CTX_load_verify_locations(context.get(), test::web().certificate().c_str(), nullptr) == 1);
        SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
        return context;
    }();
    return the.get();
}

/// Connects, and sends the request.
bio ask(bool tls, int ms) {
    auto const where = "localhost:" + std::to_string(tls ? test::web().https_port() : test::web().http_port());
    bio b(tls ? BIO_new_ssl_connect(client()) : BIO_new_connect(where.c_str()));
    REQUIRE(b);
    if (tls)
        BIO_set_conn_hostname(b.get(), where.c_str());
    bool const connected = BIO_do_connect(b.get()) == 1;
    INFO(ERR_error_string(ERR_peek_last_error(), nullptr));
    REQUIRE(connected);
    auto const request = "GET /" + std::to_string(ms) + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
    REQUIRE(BIO_puts(b.get(), request.c_str()) == int(request.size()));
    return b;
}

/// How a read has ended.
struct outcome {
    int result = 0;
    int error = 0;
    bool retry = false;
    bool queue_is_empty = false;
};
outcome read_some(BIO* b) {
    char text[1000];
    ERR_clear_error();
    outcome o;
    o.result = BIO_read(b, text, sizeof text);
    o.error = errno;
    o.retry = BIO_should_retry(b) != 0;
    o.queue_is_empty = ERR_peek_error() == 0;
    return o;
}

} // namespace

TEST_CASE("OpenSSL's BIO: many reads wait at once on one thread", "[blocking_libraries]") {
    bool const tls = GENERATE(false, true);
    test::check_that_they_wait_together([&] {
        auto const b = ask(tls, int(test::each_waits.count()));
        std::string text;
        char part[1000];
        for (int n = 0; (n = BIO_read(b.get(), part, sizeof part)) > 0;)
            text.append(part, static_cast<std::size_t>(n));
        CHECK_THAT(text, test::has_text("200 OK") && test::has_text("hello"));
    });
}

TEST_CASE("OpenSSL's BIO: a read whose task is cancelled", "[blocking_libraries]") {
    bool const tls = GENERATE(false, true);
    int const before = test::web().requests();
    test::on_portal_cancelled_when([&] { return test::web().requests() > before; },
                                   [&] {
                                       auto const b = ask(tls, 60'000);
                                       auto const o = read_some(b.get());
                                       CHECK(o.result == -1);
                                       CHECK(o.error == ECANCELED);
                                       CHECK_FALSE(o.retry);
                                       CHECK(o.queue_is_empty);
                                   });
}

TEST_CASE("OpenSSL's BIO: a read whose task is destroyed", "[blocking_libraries]") {
    bool const tls = GENERATE(false, true);
    int const before = test::web().requests();
    outcome o;
    test::on_portal_destroyed_when([&] { return test::web().requests() > before; },
                                   [&] {
                                       auto const b = ask(tls, 60'000);
                                       o = read_some(b.get());
                                   });
    CHECK(o.result == -1);
    CHECK(o.error == ECANCELED);
    CHECK_FALSE(o.retry);
    CHECK(o.queue_is_empty);
}

TEST_CASE("OpenSSL's BIO: a handshake whose task is cancelled", "[blocking_libraries]") {
    test::silent_server const server;
    bool waiting = false;
    test::on_portal_cancelled_when([&] { return waiting; },
                                   [&] {
                                       bio const b(BIO_new_ssl_connect(client()));
                                       auto const where = "127.0.0.1:" + std::to_string(server.port());
                                       BIO_set_conn_hostname(b.get(), where.c_str());
                                       ERR_clear_error();
                                       waiting = true;
                                       auto const connected = BIO_do_connect(b.get());
                                       int const error = errno;
                                       CHECK(connected <= 0);
                                       CHECK(error == ECANCELED);
                                       CHECK(BIO_should_retry(b.get()) == 0);
                                   });
}

TEST_CASE("OpenSSL's BIO: the timeout of its socket", "[blocking_libraries]") {
    bool const tls = GENERATE(false, true);
    test::on_portal([&] {
        auto const b = ask(tls, 60'000);
        timeval const limit{0, 300'000};
        REQUIRE(::setsockopt(int(BIO_get_fd(b.get(), nullptr)), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
        auto const o = read_some(b.get());
        CHECK(o.result == -1);
        CHECK(o.error == EAGAIN);
        CHECK(o.retry);
    });
}

TEST_CASE("OpenSSL's BIO: its own timeout of a handshake", "[blocking_libraries]") {
    test::on_portal([] {
        test::silent_server const server;
        bio const b(BIO_new_ssl_connect(client()));
        auto const where = "127.0.0.1:" + std::to_string(server.port());
        BIO_set_conn_hostname(b.get(), where.c_str());
        ERR_clear_error();
        CHECK(BIO_do_connect_retry(b.get(), 1, 100) != 1);
        CHECK(ERR_GET_REASON(ERR_peek_last_error()) == BIO_R_CONNECT_TIMEOUT);
    });
}
