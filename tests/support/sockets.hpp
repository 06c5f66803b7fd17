// SPDX-License-Identifier: MIT
//
// Two ends of a TCP connection within the process.
#pragma once

#include "support/asio.hpp"

#include <string>

namespace test {

template <class Executor = asio::any_io_executor> struct connection {
    using socket = asio::basic_stream_socket<asio::ip::tcp, Executor>;
    socket a, b;

    explicit connection(Executor const& for_a, Executor const& for_b) : a(for_a), b(for_b) {
        asio::basic_socket_acceptor<asio::ip::tcp, Executor> acceptor(for_a, {asio::ip::address_v4::loopback(), 0});
        a.connect(acceptor.local_endpoint());
        acceptor.accept(b);
    }
    explicit connection(asio::io_context& context) : connection(context.get_executor(), context.get_executor()) {}

    /// `a` is told at once that the peer is gone.
    void reset_by_b() {
        b.set_option(asio::socket_base::linger(true, 0));
        b.close();
    }
};

/// What `a` has received, without awaiting: for a test's own check of the other end.
template <class Socket> std::string received(Socket& socket, std::size_t size) {
    std::string text(size, '\0');
    asio::read(socket, asio::buffer(text));
    return text;
}

} // namespace test
