// SPDX-License-Identifier: MIT
// 10. Helpers: an asynchronous stream as a std::iostream.
#pragma once

#include <greenback/detail/config.hpp>

#include <greenback/detail/stream/stream_buffer.hpp>
#include <greenback/portal.hpp>
#include <greenback/sync_stream.hpp>

#include <cstddef>
#include <istream>
#include <ostream>
#include <type_traits>
#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// Made before the `std::iostream` that is given its address.
template <class AsyncStream> struct holds_stream_buffer {
    stream_buffer<sync_stream<AsyncStream>> buffer_;
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE

namespace greenback::inline GREENBACK_BACKEND_NAMESPACE {

/// A `std::iostream` over an asynchronous stream: `std::getline`, `operator<<` and whatever else reads or writes one
/// awaits, where it has to.
///
/// It is three streams over one buffer: itself, `in()` and `out()`. When the other side has sent everything, reading
/// sets `eofbit`, and a stream with that bit refuses every `<<`; so a program that goes on to answer reads from `in()`
/// and writes to `out()`.
///
/// A read that has to wait sends what was written first. Reads and writes that are larger than the buffer go past it.
/// The last 16 bytes read can be put back. There are no positions: `tellg` is -1, and `seekg` fails.
/// Owns the stream, or refers to it, as `sync_stream` does. Movable. The destructor sends what is left if it can await,
/// and drops errors: `flush()` before it, to see them.
///
/// @pre of whatever reads and writes: as for `await_`.
/// @throws `badbit` is in `exceptions()` from the start: an error is thrown as the `system_error` that it is, `abandoned`
///     as `abandoned`. With `std::unitbuf`, where libstdc++ writes in a destructor, by the next operation.
///
/// Cancellation: as `sync_stream`, and so are deadlines: `io.stream().expires_after(5s)`.
/// Thread safety: as `sync_stream`. For a task that reads and a task that writes make two over one socket,
///     `basic_iostream<tcp::socket&>`.
/// Cost: two blocks of `buffer_size` bytes, allocated when they are needed; an operation of the stream for each that is
///     full or empty.
/// Example: `greenback::basic_iostream io(std::move(socket)); while (std::getline(io.in(), s)) io.out() << s << '\n';`
template <class AsyncStream>
class basic_iostream : private detail::holds_stream_buffer<AsyncStream>, public std::iostream {
    using holder = detail::holds_stream_buffer<AsyncStream>;
    using holder::buffer_;

public:
    explicit basic_iostream(AsyncStream stream, std::size_t buffer_size = 8192)
        : holder{{buffer_size, std::forward<AsyncStream>(stream)}}, std::iostream(&buffer_), in_(&buffer_),
          out_(&buffer_) {
        exceptions(badbit);
        in_.exceptions(badbit);
        out_.exceptions(badbit);
        serve();
    }

    basic_iostream(basic_iostream&& other)
        : holder{std::move(other.buffer_)}, std::iostream(std::move(other)), in_(&buffer_), out_(&buffer_) {
        set_rdbuf(&buffer_);
        take_state(other);
    }
    basic_iostream& operator=(basic_iostream&& other) {
        flush_quietly();
        buffer_ = std::move(other.buffer_);
        std::iostream::operator=(std::move(other)); // all but the buffer
        take_state(other);
        return *this;
    }
    ~basic_iostream() override { flush_quietly(); }

    std::istream& in() noexcept { return in_; }
    std::ostream& out() noexcept { return out_; }

    sync_stream<AsyncStream>& stream() noexcept { return buffer_.stream(); }
    auto& next_layer() noexcept { return stream().next_layer(); }
    std::streambuf* rdbuf() const noexcept { return std::iostream::rdbuf(); }

    using std::iostream::tie;
    /// A stream that is tied to itself would flush itself before it flushes itself, without end: that is ignored.
    std::ostream* tie(std::ostream* other) { return other == this ? tie() : std::iostream::tie(other); }

private:
    void serve() noexcept { buffer_.serves({this, &in_, &out_}); }

    void take_state(basic_iostream& other) {
        for (auto const& [mine, theirs] : {std::pair<std::ios*, std::ios*>(&in_, &other.in_), {&out_, &other.out_}}) {
            mine->exceptions(goodbit);
            mine->clear(theirs->rdstate());
            mine->copyfmt(*theirs); // with the exceptions that it asks for, which throws for a state it is in already
        }
        serve();
    }

    void flush_quietly() noexcept {
        if (!buffer_.has_output() || !has_portal())
            return;
        try {
            buffer_.send();
        } catch (...) { // nobody can be told
        }
    }

    std::istream in_;
    std::ostream out_;
};

template <class AsyncStream> basic_iostream(AsyncStream&&) -> basic_iostream<AsyncStream>;
template <class AsyncStream> basic_iostream(AsyncStream&&, std::size_t) -> basic_iostream<AsyncStream>;

} // namespace greenback::inline GREENBACK_BACKEND_NAMESPACE
