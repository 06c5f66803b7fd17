// SPDX-License-Identifier: MIT
// A synchronous stream over an asynchronous one, for libraries that read and write by `read_some` and `write_some`.
#pragma once

#include <greenback/detail/config.hpp>

#include <greenback/await.hpp>
#include <greenback/detail/stream/transfer.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <functional>
#include <source_location>
#include <type_traits>
#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

template <class T> inline constexpr bool is_sync_stream = false;

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE

namespace greenback::inline GREENBACK_BACKEND_NAMESPACE {

/// A stream with `read_some` and `write_some` that await, over an Asio stream with `async_read_some` and
/// `async_write_some`: a socket, an `ssl::stream`, a pipe, a serial port. What expects a synchronous stream works with
/// it unchanged: `asio::read`, `asio::read_until`, `asio::write`, the synchronous functions of `ssl::stream`, and those
/// of Boost.Beast (`greenback/beast.hpp`).
///
/// `AsyncStream` may be a reference, as it is in `sync_stream s(socket)` of a variable `socket`. Two tasks, one of which
/// reads while the other writes, have one each, over the same stream.
///
/// An error with which a stream has ended, such as end of file, is remembered for its direction, and reported again by
/// whoever reads (writes) again; Asio would wait for ever. For a new connection make a new `sync_stream`.
///
/// A deadline (`expires_after`) is for all operations until another one is set. Past it each of them ends with
/// `asio::error::timed_out`; one that waits is cancelled. What had arrived by then is not lost, and the stream stays
/// usable: set another deadline.
///
/// @pre used by one task at a time, in synchronous code with a portal of its task (`has_portal()`).
///
/// Cancellation: as `await_`: an operation that the task's cancellation ends has the error `operation_aborted`.
/// Thread safety: as the stream's; returns on a thread that runs the task's executor. With a deadline and a composed
///     stream (`ssl::stream`), that executor runs one thing at a time, as for every cancellation in Asio.
/// Cost: two stack switches and the operation itself, no allocation. With a deadline some 100 ns more, and one timer,
///     made by the first operation that needs it, which counts as work of the event loop until the deadline is over,
///     `expires_never()` is called, or the stream is destroyed.
/// Example: `sync_stream<tcp::socket&> s(socket);  asio::read_until(s, asio::dynamic_buffer(line), '\n');`
template <class AsyncStream> class sync_stream {
public:
    using next_layer_type = std::remove_reference_t<AsyncStream>;
    static_assert(detail::async_read_stream<next_layer_type> || detail::async_write_stream<next_layer_type>,
                  "greenback::sync_stream<S> wants an asynchronous stream S, or a reference to one: a class with "
                  "get_executor() and async_read_some or async_write_some, such as a tcp::socket");
    using executor_type = std::remove_cvref_t<decltype(std::declval<next_layer_type&>().get_executor())>;

private:
    template <class T> static auto& lowest_of(T& s) noexcept {
        if constexpr (requires { s.lowest_layer(); })
            return s.lowest_layer();
        else
            return s;
    }

public:
    using lowest_layer_type = std::remove_reference_t<decltype(lowest_of(std::declval<next_layer_type&>()))>;

    /// Makes the stream of `args`, or refers to it.
    template <class... Args>
        requires(std::constructible_from<AsyncStream, Args...> &&
                 !(std::same_as<std::remove_cvref_t<Args>, sync_stream> || ...))
    explicit sync_stream(Args&&... args) : stream_(std::forward<Args>(args)...) {}

    sync_stream(sync_stream&&) = default;
    sync_stream& operator=(sync_stream&&) = default;

    next_layer_type& next_layer() noexcept { return stream_; }
    next_layer_type const& next_layer() const noexcept { return stream_; }
    lowest_layer_type& lowest_layer() noexcept { return lowest_of(next_layer()); }
    lowest_layer_type const& lowest_layer() const noexcept { return lowest_of(next_layer()); }
    executor_type get_executor() noexcept { return next_layer().get_executor(); }

    /// Read what there is, and wait if there is nothing. @returns its size, never 0 unless `buffers` are empty.
    /// @throws `system_error`, `asio::error::eof` at the end among them · `no_portal` · `abandoned`.
    template <class MutableBuffers>
    std::size_t read_some(MutableBuffers const& buffers, std::source_location where = std::source_location::current()) {
        error_code ec;
        std::size_t const n = read_some(buffers, ec, where);
        return ec ? throw system_error(ec, "read_some") : n;
    }

    /// The same with the error in `ec`, also that of a task that is cancelled already.
    /// @throws `no_portal` · `abandoned`.
    template <class MutableBuffers>
    std::size_t read_some(MutableBuffers const& buffers, error_code& ec,
                          std::source_location where = std::source_location::current()) {
        auto start = [&](auto&& handler) {
            next_layer().async_read_some(buffers, std::forward<decltype(handler)>(handler));
        };
        return run(start, buffers, read_error_, ec, where);
    }

    /// Write some of `buffers`, and wait until that can be done. @returns how much.
    /// @throws `system_error` · `no_portal` · `abandoned`.
    template <class ConstBuffers>
    std::size_t write_some(ConstBuffers const& buffers, std::source_location where = std::source_location::current()) {
        error_code ec;
        std::size_t const n = write_some(buffers, ec, where);
        return ec ? throw system_error(ec, "write_some") : n;
    }

    /// The same with the error in `ec`, also that of a task that is cancelled already.
    /// @throws `no_portal` · `abandoned`.
    template <class ConstBuffers>
    std::size_t write_some(ConstBuffers const& buffers, error_code& ec,
                           std::source_location where = std::source_location::current()) {
        auto start = [&](auto&& handler) {
            next_layer().async_write_some(buffers, std::forward<decltype(handler)>(handler));
        };
        return run(start, buffers, write_error_, ec, where);
    }

    /// From now on reads and writes end with `asio::error::timed_out` when so much time has passed. Not during one.
    template <class Rep, class Period> void expires_after(std::chrono::duration<Rep, Period> d) {
        deadline_.set_after(d);
    }
    /// The same at this time.
    void expires_at(std::chrono::steady_clock::time_point when) { deadline_.set(when); }
    /// They wait as long as it takes, as they do at first.
    void expires_never() { deadline_.set(detail::deadline::never); }

private:
    template <class Start, class Buffers>
    std::size_t run(Start& start, Buffers const& buffers, error_code& final_error, error_code& ec,
                    std::source_location where) {
        ec = {};
        if (final_error && asio::buffer_size(buffers) != 0) [[unlikely]] {
            ec = final_error;
            return 0;
        }
        detail::transferred result{};
        bool timed_out = false;
        if (!deadline_.is_set()) [[likely]] {
            result = transfer(start, nullptr, where);
        } else if (deadline_.is_over()) {
            timed_out = true;
        } else {
            detail::deadline::guard operation(deadline_);
            result = transfer(start, &deadline_, where);
            timed_out = operation.end() && result.error == asio::error::operation_aborted;
        }
        ec = timed_out ? error_code(asio::error::timed_out) : result.error;
        if (result.error && is_final(result.error) && asio::buffer_size(buffers) != 0) [[unlikely]]
            final_error = result.error;
        return result.size;
    }

    template <class Start> detail::transferred transfer(Start& start, detail::deadline* d, std::source_location where) {
        try {
            return await_(
                [&](auto&& token) {
                    return asio::async_initiate<decltype(token), void(detail::transferred)>(
                        detail::transfer<Start, executor_type>(start, get_executor(), d), token);
                },
                where);
        } catch (system_error const& e) { // the task is cancelled already; nothing else of it is thrown
            return {e.code(), 0};
        }
    }

    /// Is there nothing more to wait for after it? The reactor reports such an error once.
    static bool is_final(error_code const& ec) noexcept {
        return ec != asio::error::operation_aborted && ec != asio::error::would_block && ec != asio::error::try_again &&
               ec != asio::error::interrupted && ec != asio::error::no_memory && ec != asio::error::no_buffer_space &&
               ec != asio::error::not_connected && ec != asio::error::bad_descriptor;
    }

    std::conditional_t<std::is_reference_v<AsyncStream>, std::reference_wrapper<next_layer_type>, AsyncStream> stream_;
    error_code read_error_;
    error_code write_error_;
    detail::deadline deadline_;
};

/// Made of a variable, it refers to that. What is a `sync_stream` already is moved.
template <class AsyncStream>
    requires(!detail::is_sync_stream<std::remove_cvref_t<AsyncStream>>)
sync_stream(AsyncStream&&) -> sync_stream<AsyncStream>;

} // namespace greenback::inline GREENBACK_BACKEND_NAMESPACE

template <class AsyncStream>
inline constexpr bool greenback::detail::is_sync_stream<greenback::sync_stream<AsyncStream>> = true;
