// SPDX-License-Identifier: MIT
// A `std::iostream` over an asynchronous stream, for code that reads by `getline` and writes by `<<`.
#pragma once

#include <greenback/detail/config.hpp>

#include <greenback/detail/stream/stream_buffer.hpp>
#include <greenback/portal.hpp>
#include <greenback/sync_stream.hpp>

#include <concepts>
#include <cstddef>
#include <istream>
#include <ostream>
#include <type_traits>
#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// A `std::istream` or `std::ostream` that can be moved, and whose errors are exceptions.
template <class Base> class movable_half : public Base {
public:
    explicit movable_half(std::streambuf* buffer) : Base(buffer) { this->exceptions(std::ios_base::badbit); }
    movable_half(movable_half&& other, std::streambuf* buffer) noexcept : Base(std::move(other)) {
        this->set_rdbuf(buffer);
    }
    movable_half& operator=(movable_half&& other) = default; // the buffer is not exchanged
};

/// A base, for the buffer to be there before the stream and after it.
template <class Stream> struct buffer_of_iostream {
    stream_buffer<Stream> buffer;
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE

namespace greenback::inline GREENBACK_BACKEND_NAMESPACE {

/// A `std::iostream` that awaits, over an Asio stream (a socket, an `ssl::stream`) or a reference to one. Movable.
///
/// Reading what is not there yet sends what has been written first. Large reads and writes pass the buffer. 16
/// characters can be put back at any time; `readsome` reads what has arrived; there is no position to seek.
///
/// `exceptions(badbit)` is set: an error comes out of `<<`, `>>`, `getline` as the `system_error` it is, and sets
/// `badbit` (with libc++ not everywhere); end of file sets `eofbit` and `failbit`, as in any stream. A stream with one
/// of these writes nothing either, so when the peer has finished sending use `out()` to answer it: `in()` and `out()`
/// are an istream and an ostream over the same buffer, with states of their own.
///
/// With `std::unitbuf` an error of the flush behind `<<` is thrown by the next operation. The destructor sends what is
/// pending if it can await, and ignores errors: `flush()` before, where they matter.
///
/// @pre used by one task at a time, in synchronous code with a portal of its task (`has_portal()`). Two tasks, one of
///     which reads while the other writes, have one object each, over a reference to the same stream.
/// @throws, from every operation that reads or writes the stream, `system_error` · `no_portal` · `abandoned`.
///
/// Cancellation: as `sync_stream`; an error is thrown like any other.
/// Thread safety: as `sync_stream`.
/// Cost: two buffers, allocated when the first thing is read, and written. What finds room in them, or is in them, is
///     not awaited; otherwise two stack switches, and as a rule one system call.
/// Example: `basic_iostream io(std::move(socket));  for (std::string line; std::getline(io, line);) io << line;`
template <class AsyncStream>
class basic_iostream : private detail::buffer_of_iostream<sync_stream<AsyncStream>>, public std::iostream {
    using buffer_base = detail::buffer_of_iostream<sync_stream<AsyncStream>>;

public:
    using next_layer_type = typename sync_stream<AsyncStream>::next_layer_type;

    /// @param buffer_size of each of the two buffers, in bytes; at least 16
    explicit basic_iostream(AsyncStream stream, std::size_t buffer_size = 8192)
        : buffer_base{{std::forward<AsyncStream>(stream), buffer_size}}, std::iostream(&this->buffer),
          in_(&this->buffer), out_(&this->buffer) {
        this->exceptions(badbit);
        this->buffer.is_used_by(*this, out_);
    }

    /// What was moved from has no buffers, and the stream that its own moved-from stream is.
    basic_iostream(basic_iostream&& other) noexcept
        : buffer_base{std::move(other.buffer)}, std::iostream(std::move(other)),
          in_(std::move(other.in_), &this->buffer), out_(std::move(other.out_), &this->buffer) {
        this->set_rdbuf(&this->buffer);
        this->buffer.is_used_by(*this, out_);
    }
    basic_iostream& operator=(basic_iostream&& other) noexcept {
        if (this != &other) {
            send_pending_output();
            std::iostream::operator=(std::move(other));
            in_ = std::move(other.in_);
            out_ = std::move(other.out_);
            this->buffer = std::move(other.buffer);
        }
        return *this;
    }
    ~basic_iostream() override { send_pending_output(); }

    /// To read from, and to write to: each has its own state, so that the end of one is not the end of the other.
    std::istream& in() noexcept { return in_; }
    std::ostream& out() noexcept { return out_; }

    /// What is under the buffer: for `expires_after`, and for who reads and writes past it.
    sync_stream<AsyncStream>& stream() noexcept { return this->buffer.stream(); }
    next_layer_type& next_layer() noexcept { return stream().next_layer(); }

    /// As in any stream; but one tied to itself would flush itself for ever, and reading flushes this one anyway.
    std::ostream* tie() const { return std::iostream::tie(); }
    std::ostream* tie(std::ostream* other) { return std::iostream::tie(other == this ? nullptr : other); }

private:
    void send_pending_output() noexcept {
        try {
            if (this->buffer.has_pending_output() && has_portal())
                this->buffer.send();
        } catch (...) { // NOLINT(bugprone-empty-catch): `abandoned`, too, which the next await throws again
        }
    }

    detail::movable_half<std::istream> in_;
    detail::movable_half<std::ostream> out_;
};

/// Made of a variable, it refers to that. What is a `basic_iostream` already is moved.
template <class AsyncStream>
    requires(!std::derived_from<std::remove_cvref_t<AsyncStream>, std::ios_base>)
basic_iostream(AsyncStream&&, std::size_t = 8192) -> basic_iostream<AsyncStream>;

} // namespace greenback::inline GREENBACK_BACKEND_NAMESPACE
