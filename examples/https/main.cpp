// SPDX-License-Identifier: MIT
// HTTPS by the synchronous functions of asio::ssl::stream: handshake, write, read and shutdown, which call OpenSSL and
// then read or write the socket below, until they are done. 20 clients at once on one thread.

#include "../support/run.hpp"
#include "../support/server.hpp"

#include <asio/ssl.hpp>
#include <greenback/sync_stream.hpp>

#include <climits>
#include <cstdio>
#include <memory>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <string>

namespace {

using asio::ip::tcp;
namespace ssl = asio::ssl;
counter getting;

// [get]
/// Synchronous: called on a portal. It is what one would write for threads, but for the type of the stream.
std::string get(tcp::endpoint server, ssl::context& trust, std::string const& name, std::string const& path) {
    inside const counted(getting);
    ssl::stream<greenback::sync_stream<tcp::socket>> stream(
        greenback::sync_stream<tcp::socket>(greenback::await_(asio::this_coro::executor)), trust);
    stream.lowest_layer().async_connect(server, greenback::use_portal);
    stream.next_layer().expires_after(std::chrono::seconds(30)); // for everything from here on
    stream.set_verify_mode(ssl::verify_peer);
    stream.set_verify_callback(ssl::host_name_verification(name));
    stream.handshake(ssl::stream_base::client);

    asio::write(stream, asio::buffer("GET " + path + " HTTP/1.0\r\nHost: " + name + "\r\n\r\n"));
    std::string response;
    greenback::error_code ec;
    asio::read(stream, asio::dynamic_buffer(response), ec);
    if (ec != asio::error::eof) // stream_truncated, say: somebody has cut the answer short
        throw greenback::system_error(ec);
    stream.shutdown(ec); // the server may not care to answer that
    return response.substr(response.find("\r\n\r\n") + 4);
}
// [/get]

struct certificate {
    std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> key{EVP_EC_gen("P-256"), EVP_PKEY_free};
    std::unique_ptr<X509, void (*)(X509*)> x509{X509_new(), X509_free};

    /// Signed by itself, valid for an hour.
    explicit certificate(char const* name) {
        X509_set_version(x509.get(), X509_VERSION_3);
        ASN1_INTEGER_set(X509_get_serialNumber(x509.get()), 1);
        X509_gmtime_adj(X509_getm_notBefore(x509.get()), -60);
        X509_gmtime_adj(X509_getm_notAfter(x509.get()), 3600);
        X509_set_pubkey(x509.get(), key.get());
        std::string const alternative = std::string("DNS:") + name;
        std::unique_ptr<X509_EXTENSION, void (*)(X509_EXTENSION*)> const extension(
            X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, alternative.c_str()), X509_EXTENSION_free);
        X509_add_ext(x509.get(), extension.get(), -1);
        require(X509_sign(x509.get(), key.get(), EVP_sha256()) > 0, "no certificate");
    }
};

/// Answers by the path that is asked for when `all` wait for that; "/cut" by closing the connection.
asio::awaitable<void> answer(tcp::socket socket, ssl::context& context, meeting& all, meeting& never) {
    ssl::stream<tcp::socket> stream(std::move(socket), context);
    co_await stream.async_handshake(ssl::stream_base::server, asio::use_awaitable);
    std::string text;
    co_await asio::async_read_until(stream, asio::dynamic_buffer(text), "\r\n\r\n", asio::use_awaitable);
    co_await all.wait();
    if (text.starts_with("GET /never"))
        co_await never.wait();
    text = "HTTP/1.0 200 OK\r\n\r\nThis is " + text.substr(4, text.find(' ', 4) - 4);
    co_await asio::async_write(stream, asio::buffer(text), asio::use_awaitable);
    if (!text.ends_with("/cut"))
        co_await stream.async_shutdown(asio::use_awaitable);
}

} // namespace

int main() try {
    char const* const name = "greenback.example";
    certificate const identity(name);
    ssl::context own(ssl::context::tls_server), trusting(ssl::context::tls_client), strict(ssl::context::tls_client);
    SSL_CTX_use_certificate(own.native_handle(), identity.x509.get());
    SSL_CTX_use_PrivateKey(own.native_handle(), identity.key.get());
    X509_STORE_add_cert(SSL_CTX_get_cert_store(trusting.native_handle()), identity.x509.get());

    asio::io_context loop;
    meeting all(loop, 20), never(loop, INT_MAX);
    server const server(loop, [&](tcp::socket socket) { return answer(std::move(socket), own, all, never); });
    auto const from = server.endpoint();
    run_at_once(loop, 20, [&] { require(get(from, trusting, name, "/page") == "This is /page", "wrong page"); });
    require(getting.most == 20, "the clients have waited for each other");

    run_at_once(loop, 1, [&] {
        using error = greenback::system_error;
        require(throws<error>([&] { get(from, strict, name, "/"); }), "a certificate that nobody trusts");
        require(throws<error>([&] { get(from, trusting, "another.example", "/"); }), "a certificate of another name");
        require(throws<error>([&] { get(from, trusting, name, "/cut"); }), "an answer that was cut short");
    });
    {
        asio::io_context doomed;
        greenback::spawn(doomed, [&] { get(from, trusting, name, "/never"); }, greenback::rethrow);
        for (loop.restart(); never.came() == 0; loop.poll())
            doomed.poll();
    } // destroys the task, which unwinds asio::ssl::stream
    require(getting.now == 0 && greenback::stats().live == 0, "the client has not been unwound");
    std::puts("20 clients at once");
} catch (std::exception const& e) {
    std::fprintf(stderr, "https: %s\n", e.what());
    return 1;
}
