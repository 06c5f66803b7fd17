// SPDX-License-Identifier: MIT
//
// TLS: a synchronous stream below it, and above it.

#include "support/asio.hpp"
#include "support/catch.hpp"
#include "support/event_loop.hpp"
#include "support/every_kind.hpp"
#include "support/sockets.hpp"
#include "support/tasks.hpp"

#if defined(GREENBACK_USE_BOOST_ASIO)
#include <boost/asio/ssl.hpp>
#else
#include <asio/ssl.hpp>
#endif
#if defined(GREENBACK_USE_BOOST_ASIO)
#include <greenback/beast.hpp>

#include <boost/beast/core.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>
#endif
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>

using asio::ip::tcp;
using greenback::basic_iostream;
using greenback::rethrow;
using greenback::sync_stream;
using test::connection;
using test::error_code;
using namespace std::chrono_literals;
namespace ssl = asio::ssl;

namespace {

/// Two ends that trust each other, by a key and a certificate made here.
struct contexts {
    ssl::context server{ssl::context::tls_server};
    ssl::context client{ssl::context::tls_client};

    contexts() {
        std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> const key(EVP_EC_gen("P-256"), EVP_PKEY_free);
        std::unique_ptr<X509, void (*)(X509*)> const certificate(X509_new(), X509_free);
        if (!key || !certificate)
            throw std::runtime_error("no key");
        X509_set_version(certificate.get(), 2);
        ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
        X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
        X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 24L * 3600);
        X509_set_pubkey(certificate.get(), key.get());
        X509_NAME* const name = X509_get_subject_name(certificate.get());
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<unsigned char const*>("test"), -1, -1, 0);
        X509_set_issuer_name(certificate.get(), name);
        X509_sign(certificate.get(), key.get(), EVP_sha256());
        if (SSL_CTX_use_certificate(server.native_handle(), certificate.get()) != 1 ||
            SSL_CTX_use_PrivateKey(server.native_handle(), key.get()) != 1)
            throw std::runtime_error("no certificate");
        X509_STORE_add_cert(SSL_CTX_get_cert_store(client.native_handle()), certificate.get());
        client.set_verify_mode(ssl::verify_peer);
    }
};

} // namespace

TEST_CASE("TLS runs its synchronous functions over a synchronous stream", "[ssl_stream]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context(1);
    contexts tls;
    connection c(context);
    bool const deadline = GENERATE(false, true);
    greenback::spawn(
        context,
        [&] {
            ssl::stream<sync_stream<tcp::socket>> s(std::move(c.b), tls.server);
            s.handshake(ssl::stream_base::server);
            std::string text(200000, '\0');
            asio::read(s, asio::buffer(text));
            asio::write(s, asio::buffer(text));
            error_code ec;
            char x;
            CHECK(s.read_some(asio::buffer(&x, 1), ec) == 0);
            CHECK(ec == asio::error::eof);
            s.shutdown(ec);
            CHECK_FALSE(ec);
        },
        rethrow);
    test::run_task(context, context, test::in_portal(how, [&] {
                       ssl::stream<sync_stream<tcp::socket&>> s(c.a, tls.client);
                       if (deadline)
                           s.next_layer().expires_after(1h);
                       CHECK(&s.next_layer().next_layer() == &c.a);
                       CHECK(&s.lowest_layer() == &c.a.lowest_layer());
                       s.handshake(ssl::stream_base::client);
                       std::string const text(200000, 'x');
                       asio::write(s, asio::buffer(text));
                       std::string back(text.size(), '\0');
                       asio::read(s, asio::buffer(back));
                       CHECK(back == text);
                       s.shutdown();
                   }));
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("a synchronous stream, and an iostream, read and write over TLS", "[ssl_stream]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context(1);
    contexts tls;
    connection c(context);
    greenback::spawn(
        context,
        [&] {
            ssl::stream<tcp::socket> stream(std::move(c.b), tls.server);
            stream.async_handshake(ssl::stream_base::server, greenback::use_portal);
            basic_iostream<ssl::stream<tcp::socket>&> io(stream);
            for (std::string line; std::getline(io.in(), line);)
                io.out() << line << '!' << std::endl;
            CHECK_FALSE(io.in().bad());
            stream.async_shutdown(greenback::use_portal);
        },
        rethrow);
    test::run_task(context, context, test::in_portal(how, [&] {
                       ssl::stream<tcp::socket&> stream(c.a, tls.client);
                       stream.async_handshake(ssl::stream_base::client, greenback::use_portal);
                       basic_iostream<ssl::stream<tcp::socket&>&> io(stream);
                       io.stream().expires_after(1h);
                       std::string line;
                       for (int i = 0; i < 20; ++i) {
                           io << "line " << i << '\n';
                           CHECK(std::getline(io, line));
                           CHECK(line == "line " + std::to_string(i) + '!');
                       }
                       char x;
                       CHECK(io.readsome(&x, 1) == 0);
                       io.stream().expires_after(5ms);
                       CHECK_THROWS_AS(io.get(), test::system_error);
                       io.clear();
                       io.stream().expires_never(); // and the connection is as it was
                       io << "again\n";
                       CHECK(std::getline(io, line));
                       CHECK(line == "again!");
                       stream.async_shutdown(greenback::use_portal);
                   }));
}

TEST_CASE("a TLS connection that is cut is an error, not the end of file, and is remembered", "[ssl_stream]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context(1);
    contexts tls;
    connection c(context);
    greenback::spawn(
        context,
        [&] {
            ssl::stream<tcp::socket> stream(std::move(c.b), tls.server);
            stream.async_handshake(ssl::stream_base::server, greenback::use_portal);
            sync_stream<ssl::stream<tcp::socket>&>(stream).write_some(asio::buffer("half a li", 9));
            stream.next_layer().shutdown(tcp::socket::shutdown_send); // as an attacker could
        },
        rethrow);
    test::run_task(context, context, test::in_portal(how, [&] {
                       ssl::stream<tcp::socket> stream(std::move(c.a), tls.client);
                       stream.async_handshake(ssl::stream_base::client, greenback::use_portal);
                       basic_iostream io(std::move(stream));
                       std::string line;
                       for (int i = 0; i < 3; ++i) {
                           try {
                               std::getline(io, line);
                               FAIL("no error");
                           } catch (test::system_error const& e) {
                               CHECK(e.code() == ssl::error::stream_truncated);
                           }
                           CHECK_FALSE(io.eof());
                           io.clear();
                       }
                   }));
}

#if defined(GREENBACK_USE_BOOST_ASIO)
TEST_CASE("a websocket runs over TLS over a synchronous stream, and the other way round", "[ssl_stream]") {
    namespace websocket = boost::beast::websocket;
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context(1);
    contexts tls;
    connection c(context);
    greenback::spawn(
        context,
        [&] {
            websocket::stream<ssl::stream<sync_stream<tcp::socket>>> ws(std::move(c.b), tls.server);
            ws.next_layer().handshake(ssl::stream_base::server);
            ws.accept();
            boost::beast::flat_buffer in;
            ws.read(in);
            ws.write(in.data());
            error_code ec;
            ws.read(in, ec);
            CHECK(ec == websocket::error::closed);
        },
        rethrow);
    test::run_task(context, context, test::in_portal(how, [&] {
                       websocket::stream<sync_stream<ssl::stream<tcp::socket>>> ws(
                           ssl::stream<tcp::socket>(std::move(c.a), tls.client));
                       ws.next_layer().next_layer().async_handshake(ssl::stream_base::client, greenback::use_portal);
                       ws.handshake("here", "/");
                       ws.write(asio::buffer("ping", 4));
                       boost::beast::flat_buffer in;
                       ws.read(in);
                       CHECK(boost::beast::buffers_to_string(in.data()) == "ping");
                       ws.close(websocket::close_code::normal);
                       CHECK_FALSE(ws.next_layer().lowest_layer().is_open());
                   }));
}
#endif
