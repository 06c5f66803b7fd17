// SPDX-License-Identifier: MIT
//
// An HTTP server, with and without TLS, on a thread of its own in the test's process. That thread has no portal: the
// calls of its sockets and of its event loop are the plain ones.
#pragma once

#include "blocking_libraries/servers.hpp"
#include "support/asio.hpp"

#if defined(GREENBACK_USE_BOOST_ASIO)
#include <boost/asio/ssl.hpp>
#else
#include <asio/ssl.hpp>
#endif
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace test {

/// `GET /<n>` is answered after n ms, by "hello"; the connection is then closed. It listens on IPv4's loopback address,
/// which is one of those of "localhost".
class http_server {
public:
    http_server() : tls_(asio::ssl::context::tls_server) {
        make_certificate();
        asio::co_spawn(context_, accept(http_, nullptr), asio::detached);
        asio::co_spawn(context_, accept(https_, &tls_), asio::detached);
        thread_ = std::thread([this] { context_.run(); });
    }
    http_server(http_server const&) = delete;
    http_server& operator=(http_server const&) = delete;
    ~http_server() {
        context_.stop();
        thread_.join();
    }

    int http_port() const { return http_.local_endpoint().port(); }
    int https_port() const { return https_.local_endpoint().port(); }
    /// The file of its certificate, for "localhost", signed by itself.
    std::string const& certificate() const { return certificate_; }
    /// How many have been read so far.
    int requests() const { return requests_; }

private:
    using tcp = asio::ip::tcp;

    asio::awaitable<void> accept(tcp::acceptor& acceptor, asio::ssl::context* tls) {
        for (;;) {
            tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
            if (tls != nullptr)
                asio::co_spawn(context_, answer_over_tls(asio::ssl::stream<tcp::socket>(std::move(socket), *tls)),
                               asio::detached);
            else
                asio::co_spawn(context_, answer_plainly(std::move(socket)), asio::detached);
        }
    }
    asio::awaitable<void> answer_plainly(tcp::socket socket) { co_await answer(socket); }
    asio::awaitable<void> answer_over_tls(asio::ssl::stream<tcp::socket> stream) {
        co_await stream.async_handshake(asio::ssl::stream_base::server, asio::use_awaitable);
        co_await answer(stream);
        co_await stream.async_shutdown(asio::use_awaitable);
    }
    template <class Stream> asio::awaitable<void> answer(Stream& stream) {
        std::string request;
        co_await asio::async_read_until(stream, asio::dynamic_buffer(request), "\r\n\r\n", asio::use_awaitable);
        ++requests_;
        auto const number = request.find('/') + 1;
        asio::steady_timer timer(context_, std::chrono::milliseconds(std::atoi(request.c_str() + number)));
        co_await timer.async_wait(asio::use_awaitable);
        std::string const text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
        co_await asio::async_write(stream, asio::buffer(text), asio::use_awaitable);
    }

    void make_certificate() {
        std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> const key(EVP_EC_gen("P-256"), EVP_PKEY_free);
        std::unique_ptr<X509, void (*)(X509*)> const certificate(X509_new(), X509_free);
        std::unique_ptr<X509_EXTENSION, void (*)(X509_EXTENSION*)> const name(
            X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "DNS:localhost"), X509_EXTENSION_free);
        if (!key || !certificate || !name)
            throw std::runtime_error("no key");
        X509_set_version(certificate.get(), 2);
        ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
        X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
        X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 24L * 3600);
        X509_set_pubkey(certificate.get(), key.get());
        X509_NAME* const subject = X509_get_subject_name(certificate.get());
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<unsigned char const*>("localhost"), -1,
                                   -1, 0);
        X509_set_issuer_name(certificate.get(), subject);
        X509_add_ext(certificate.get(), name.get(), -1);
        X509_sign(certificate.get(), key.get(), EVP_sha256());
        if (SSL_CTX_use_certificate(tls_.native_handle(), certificate.get()) != 1 ||
            SSL_CTX_use_PrivateKey(tls_.native_handle(), key.get()) != 1)
            throw std::runtime_error("no certificate");
        certificate_ = (folder_.path() / "certificate").string();
        std::unique_ptr<BIO, int (*)(BIO*)> const file(BIO_new_file(certificate_.c_str(), "w"), BIO_free);
        if (!file || PEM_write_bio_X509(file.get(), certificate.get()) != 1)
            throw std::runtime_error("no file for the certificate");
    }

    asio::io_context context_{1};
    asio::ssl::context tls_;
    temporary_folder folder_;
    std::string certificate_;
    tcp::acceptor http_{context_, {asio::ip::address_v4::loopback(), 0}};
    tcp::acceptor https_{context_, {asio::ip::address_v4::loopback(), 0}};
    std::atomic<int> requests_{0};
    std::thread thread_;
};

/// The one of this test program.
inline http_server& web() {
    static http_server the;
    return the;
}

} // namespace test
