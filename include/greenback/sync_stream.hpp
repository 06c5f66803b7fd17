// SPDX-License-Identifier: MIT
// 10. Helpers: an asynchronous stream for code that reads and writes synchronously.
#pragma once

#include <greenback/detail/config.hpp>

#include <greenback/await.hpp>
#include <greenback/detail/stream/deadline.hpp>
#include <greenback/portal.hpp>
#include <greenback/use_portal.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

#if defined(GREENBACK_USE_BOOST_ASIO)
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/redirect_error.hpp>
#else
#include <asio/bind_cancellation_slot.hpp>
#include <asio/buffer.hpp>
#include <asio/redirect_error.hpp>
#endif

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

template <class Stream>
concept asynchronous_stream = requires(Stream& s, asio::mutable_buffer in, asio::const_buffer out) {
    typename Stream::executor_type;
    s.get_executor();
    requires requires { s.async_read_some(in, use_portal); } || requires { s.async_write_some(out, use_portal); };
};

template <class T> inline constexpr bool is_sync_stream = false;

/// Of a stream that says nothing about layers, itself.
template <class Stream> struct lowest_layer_of {
    using type = Stream;
    static type& get(Stream& s) noexcept { return s; }
};
template <class Stream>
    requires requires { typename Stream::lowest_layer_type; }
struct lowest_layer_of<Stream> {
    using type = typename Stream::lowest_layer_type;
    static type& get(Stream& s) { return s.lowest_layer(); }
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE

namespace greenback::inline GREENBACK_BACKEND_NAMESPACE {

/// A stream whose `read_some` and `write_some` await those of `AsyncStream`, a socket, a pipe, a TLS stream: for code
/// that was written for blocking sockets, Asio's own synchronous algorithms (`asio::read`, `asio::write`,
/// `asio::read_until`, the handshake of `asio::ssl::stream`) and Boost.Beast's among it.
///
/// `sync_stream<tcp::socket>` owns the socket, `sync_stream<tcp::socket&>` refers to one; made of a variable without
/// naming the type, it is the former for an rvalue and the latter for an lvalue. A connection whose two directions are
/// served by two tasks has two of the second kind.
///
/// Remembers the end of the file: Asio never completes a second `async_read_some` behind it, and code that has been
/// told of the end often looks again. For another connection make another one.
///
/// @pre of each read and write: as for `await_`.
/// @throws, from the overloads without `error_code`, what went wrong, as `system_error`. All: `no_portal` ·
///     `await_forbidden` · `abandoned`.
///
/// Cancellation: one requested of the task ends the operation, and one that was requested before keeps it from being
///     started, with `operation_aborted`: thrown, or in the `error_code`.
/// Thread safety: as the stream; one task at a time. Returns as `use_portal` does. With a deadline, the task's executor
///     must run one thing at a time: a strand, if several threads run it.
/// Cost: that of `use_portal`, and with a deadline less than 0.1 µs more; no allocation but one for the first deadline.
/// Example: `greenback::sync_stream stream(std::move(socket)); asio::read_until(stream, asio::dynamic_buffer(s), '\n');`
template <class AsyncStream> class sync_stream {
public:
    using next_layer_type = std::remove_reference_t<AsyncStream>;
    static_assert(detail::asynchronous_stream<next_layer_type>,
                  "greenback::sync_stream takes an asynchronous stream: something with async_read_some or "
                  "async_write_some, an executor_type and get_executor(), such as an asio::ip::tcp::socket");
    using lowest_layer_type = typename detail::lowest_layer_of<next_layer_type>::type;
    using executor_type = typename next_layer_type::executor_type;
    using clock_type = std::chrono::steady_clock;

    /// From what an `AsyncStream` is made of.
    template <class... Args>
        requires std::constructible_from<AsyncStream, Args...>
    explicit sync_stream(Args&&... args) : stream_(std::forward<Args>(args)...) {}

    sync_stream(sync_stream&&) = default;
    sync_stream& operator=(sync_stream&&) = default;

    next_layer_type& next_layer() noexcept { return stream_; }
    next_layer_type const& next_layer() const noexcept { return stream_; }
    lowest_layer_type& lowest_layer() noexcept { return detail::lowest_layer_of<next_layer_type>::get(stream_); }
    lowest_layer_type const& lowest_layer() const noexcept { return const_cast<sync_stream*>(this)->lowest_layer(); }
    executor_type get_executor() noexcept { return stream_.get_executor(); }

    /// @returns the number of bytes read; 0 at the end of the file, with `asio::error::eof`.
    template <class MutableBuffers> std::size_t read_some(MutableBuffers const& buffers) {
        return or_throw("read_some", [&](error_code& error) { return read_some(buffers, error); });
    }
    template <class MutableBuffers> std::size_t read_some(MutableBuffers const& buffers, error_code& error) {
        if (at_end_ && asio::buffer_size(buffers) != 0) {
            error = asio::error::eof;
            return 0;
        }
        std::size_t const n =
            run(error, [&](auto&& token) { return stream_.async_read_some(buffers, std::move(token)); });
        at_end_ |= error == asio::error::eof;
        return n;
    }

    /// @returns the number of bytes written.
    template <class ConstBuffers> std::size_t write_some(ConstBuffers const& buffers) {
        return or_throw("write_some", [&](error_code& error) { return write_some(buffers, error); });
    }
    template <class ConstBuffers> std::size_t write_some(ConstBuffers const& buffers, error_code& error) {
        return run(error, [&](auto&& token) { return stream_.async_write_some(buffers, std::move(token)); });
    }

    /// Each read and write that begins from now on ends at that time at the latest, with `asio::error::timed_out`, and
    /// once it has passed nothing is started, until another time is set. What was read or written by then is returned.
    /// At first, never. A timer waits until then, or until the stream is destroyed, or `expires_never`.
    void expires_at(clock_type::time_point time) { expiry_ = time; }
    void expires_after(clock_type::duration time) {
        auto const now = clock_type::now();
        expiry_ = time > never - now ? never : now + time;
    }
    void expires_never() {
        expiry_ = never;
        if (deadline_)
            deadline_->stop();
    }

private:
    static constexpr auto never = clock_type::time_point::max();

    template <class F> static std::size_t or_throw(char const* what, F f) {
        error_code error;
        std::size_t const n = f(error);
        if (error)
            throw system_error(error, what);
        return n;
    }

    template <class Start> std::size_t run(error_code& error, Start start) {
        try {
            if (expiry_ == never) [[likely]]
                return start(asio::redirect_error(use_portal, error));
            return run_until(error, start);
        } catch (system_error const& e) { // the task is cancelled already, or the initiation has thrown
            error = e.code();
            return 0;
        }
    }

    template <class Start> std::size_t run_until(error_code& error, Start& start) {
        auto const executor = await_(asio::this_coro::executor);
        if (expiry_ <= clock_type::now()) {
            error = asio::error::timed_out;
            return 0;
        }
        if (!deadline_ || deadline_->executor() != executor)
            deadline_ = std::make_shared<detail::stream_deadline>(executor);
        std::size_t n;
        bool passed;
        {
            operation_until const under_way(*deadline_, expiry_);
            n = start(asio::bind_cancellation_slot(deadline_->slot(), asio::redirect_error(use_portal, error)));
            passed = deadline_->has_passed();
        }
        if (passed && error == asio::error::operation_aborted &&
            await_(asio::this_coro::cancellation_state).cancelled() == asio::cancellation_type::none)
            error = asio::error::timed_out;
        return n;
    }

    /// While it is alive, the deadline's signal reaches the operation, and so does what is requested of the task.
    class operation_until {
    public:
        operation_until(detail::stream_deadline& deadline, clock_type::time_point time)
            : deadline_(deadline), task_(await_(asio::this_coro::cancellation_state).slot()) {
            if (task_.is_connected())
                task_.assign([weak = deadline.weak_from_this()](asio::cancellation_type type) {
                    if (auto const locked = weak.lock())
                        locked->emit(type);
                });
            deadline_.begin(time);
        }
        operation_until(operation_until const&) = delete;
        ~operation_until() {
            deadline_.end();
            if (task_.is_connected() && has_portal()) // else the task is being destroyed, and its signal may be gone
                task_.clear();
        }

    private:
        detail::stream_deadline& deadline_;
        asio::cancellation_slot task_;
    };

    AsyncStream stream_;
    bool at_end_ = false;                               ///< a read has met the end of the file
    clock_type::time_point expiry_ = never;             ///< written by the functions that set it
    std::shared_ptr<detail::stream_deadline> deadline_; ///< null before the first operation that has one
};

template <class AsyncStream>
    requires(!detail::is_sync_stream<std::remove_cvref_t<AsyncStream>>)
sync_stream(AsyncStream&&) -> sync_stream<AsyncStream>;

} // namespace greenback::inline GREENBACK_BACKEND_NAMESPACE

template <class AsyncStream>
inline constexpr bool greenback::detail::is_sync_stream<greenback::sync_stream<AsyncStream>> = true;
