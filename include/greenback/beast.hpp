// SPDX-License-Identifier: MIT
// Boost.Beast's websockets over a `sync_stream`: how one ends. Not in greenback.hpp, since it needs Boost.Beast.
#pragma once

#include <greenback/detail/config.hpp>

#if !defined(GREENBACK_USE_BOOST_ASIO)
#error \
    "greenback/beast.hpp needs greenback on Boost.Asio, which Boost.Beast uses: configure with -DGREENBACK_USE_BOOST_ASIO=ON."
#endif

#include <greenback/sync_stream.hpp>
#include <greenback/use_portal.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/beast/core/role.hpp>

namespace greenback::inline GREENBACK_BACKEND_NAMESPACE {

/// What `boost::beast::websocket::stream<sync_stream<S>>` calls when a websocket has been closed; not for calling. Beast's
/// own would block the thread. `S` is a socket, or a TLS stream over one.
///
/// A TLS stream is shut down and its socket closed. A socket waits for the peer to close the connection, under the
/// deadline of `stream`, and is closed.
///
/// @throws `no_portal` · `abandoned`. Errors are in `ec`.
///
/// Cancellation: the error `operation_aborted`.
/// Thread safety: as `sync_stream`.
/// Cost: a read, as a rule.
/// Example: `websocket::stream<sync_stream<tcp::socket>> ws(std::move(socket));  ws.accept();`
template <class S> void teardown(boost::beast::role_type role, sync_stream<S>& stream, error_code& ec) {
    ec = {};
    auto& socket = stream.lowest_layer();
    if constexpr (requires { stream.next_layer().async_shutdown(use_portal); }) {
        try {
            stream.next_layer().async_shutdown(use_portal);
        } catch (system_error const& e) {
            ec = e.code();
        }
        error_code ignored; // the first one is to be told
        socket.shutdown(asio::socket_base::shutdown_both, ignored);
        socket.close(ignored);
    } else {
        // As RFC 6455 has it: the server closes first, so that it isn't the server's port that stays in TIME_WAIT ...
        if (role == boost::beast::role_type::server)
            socket.shutdown(asio::socket_base::shutdown_send, ec);
        char rest[1024];
        while (!ec)
            stream.read_some(asio::buffer(rest), ec);
        if (ec != asio::error::eof)
            return;
        ec = {};
        if (role == boost::beast::role_type::client) // ... and the client after it has seen that
            socket.shutdown(asio::socket_base::shutdown_send, ec);
        if (!ec)
            socket.close(ec);
    }
}

} // namespace greenback::inline GREENBACK_BACKEND_NAMESPACE
