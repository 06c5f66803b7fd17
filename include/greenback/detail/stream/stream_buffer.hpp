// SPDX-License-Identifier: MIT
// The buffer between a `std::iostream` and a synchronous stream that awaits.
#pragma once

#include <greenback/detail/asio/backend.hpp>

#if defined(GREENBACK_USE_BOOST_ASIO)
#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#else
#include <asio/buffer.hpp>
#include <asio/write.hpp>
#endif

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <exception>
#include <ios>
#include <limits>
#include <memory>
#include <streambuf>
#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// `Stream` has `read_some`, `write_some` and `next_layer`. Errors are thrown, as what they are; end of file is that of
/// a `streambuf`.
///
/// The two areas are allocated when something is first read, or written; so one that was moved from has none.
template <class Stream> class stream_buffer : public std::streambuf {
public:
    static constexpr std::size_t putback_size = 16; ///< what can be put back at any time, across refills too

    template <class S>
    stream_buffer(S&& stream, std::size_t size)
        : stream_(std::forward<S>(stream)),
          size_(std::clamp(size, putback_size, static_cast<std::size_t>(std::numeric_limits<int>::max()))) {}

    stream_buffer(stream_buffer&& other) noexcept
        : std::streambuf(other), stream_(std::move(other.stream_)), size_(other.size_), in_(std::move(other.in_)),
          out_(std::move(other.out_)), kept_error_(std::move(other.kept_error_)) {
        other.has_no_areas();
    }
    stream_buffer& operator=(stream_buffer&& other) noexcept {
        if (this != &other) {
            std::streambuf::operator=(other);
            stream_ = std::move(other.stream_);
            size_ = other.size_;
            in_ = std::move(other.in_);
            out_ = std::move(other.out_);
            kept_error_ = std::move(other.kept_error_);
            other.has_no_areas();
        }
        return *this;
    }

    Stream& stream() noexcept { return stream_; }

    /// Those that write here. Not moved: they belong to the object around this one.
    void is_used_by(std::ios_base const& a, std::ios_base const& b) noexcept { writers_ = {&a, &b}; }

    bool has_pending_output() const noexcept { return pptr() != pbase(); }

    /// Send what is in the put area, and `more` after it, in one gathered write.
    void send(asio::const_buffer more = {}) {
        std::array<asio::const_buffer, 2> const all{asio::const_buffer(pbase(), pending()), more};
        setp(pbase(), epptr()); // before anything can go wrong: it must not be sent twice
        asio::write(stream_, all);
    }

protected:
    int_type underflow() override {
        if (gptr() != egptr())
            return traits_type::to_int_type(*gptr());
        prepare_to_read();
        auto const kept = std::min(static_cast<std::size_t>(gptr() - eback()), putback_size);
        std::memmove(start() - kept, gptr() - kept, kept);
        setg(start() - kept, start(), start());
        std::size_t const n = read(asio::buffer(start(), size_));
        if (n == 0)
            return traits_type::eof();
        setg(eback(), start(), start() + n);
        return traits_type::to_int_type(*gptr());
    }

    std::streamsize xsgetn(char* to, std::streamsize wanted) override {
        std::streamsize got = 0;
        while (got < wanted) {
            std::streamsize const here = std::min<std::streamsize>(wanted - got, egptr() - gptr());
            if (here > 0) {
                std::memcpy(to + got, gptr(), static_cast<std::size_t>(here));
                gbump(static_cast<int>(here));
                got += here;
            } else if (auto const rest = static_cast<std::size_t>(wanted - got); rest < size_) {
                if (traits_type::eq_int_type(underflow(), traits_type::eof()))
                    break;
            } else { // past the buffer
                prepare_to_read();
                std::size_t const n = read(asio::buffer(to + got, rest));
                if (n == 0)
                    break;
                got += static_cast<std::streamsize>(n);
                std::size_t const kept = std::min(n, putback_size);
                std::memcpy(start() - kept, to + got - kept, kept);
                setg(start() - kept, start(), start());
            }
        }
        return got;
    }

    /// What can be read without waiting, for `readsome`.
    std::streamsize showmanyc() override {
        if constexpr (requires(error_code& ec) { stream_.next_layer().available(ec); }) {
            error_code ec;
            std::size_t const n = stream_.next_layer().available(ec);
            return ec ? 0 : static_cast<std::streamsize>(std::min(n, size_));
        }
        return 0;
    }

    int_type pbackfail(int_type c) override {
        if (gptr() == eback())
            return traits_type::eof();
        gbump(-1);
        if (!traits_type::eq_int_type(c, traits_type::eof()))
            *gptr() = traits_type::to_char_type(c); // another one than was there: the area is ours
        return traits_type::not_eof(c);
    }

    int_type overflow(int_type c) override {
        prepare_to_write();
        if (traits_type::eq_int_type(c, traits_type::eof()))
            return traits_type::not_eof(c);
        if (pptr() == epptr())
            send();
        *pptr() = traits_type::to_char_type(c);
        pbump(1);
        return c;
    }

    std::streamsize xsputn(char const* from, std::streamsize n) override {
        if (n <= 0)
            return 0;
        prepare_to_write();
        std::streamsize const room = epptr() - pptr();
        if (n <= room) {
            put(from, n);
        } else if (static_cast<std::size_t>(n) >= size_) { // past the buffer
            send(asio::const_buffer(from, static_cast<std::size_t>(n)));
        } else {
            put(from, room);
            send();
            put(from + room, n - room);
        }
        return n;
    }

    /// With `std::unitbuf` this is called by the destructor of `ostream::sentry`, out of which libstdc++ lets no
    /// exception: it would be the end of the program. There it is kept for whoever reads or writes next.
    int sync() override {
        if (!has_unitbuf()) {
            throw_kept_error();
            if (has_pending_output())
                send();
        } else if (!kept_error_ && has_pending_output()) {
            try {
                send();
            } catch (...) {
                kept_error_ = std::current_exception();
                setp(nullptr, nullptr); // so that not even a single character gets past it
            }
        }
        return 0;
    }

private:
    void throw_kept_error() {
        if (kept_error_) [[unlikely]]
            std::rethrow_exception(std::exchange(kept_error_, nullptr));
    }
    void prepare_to_read() {
        throw_kept_error();
        if (has_pending_output())
            send(); // the peer may be waiting for it
        if (!in_) {
            in_ = std::make_unique_for_overwrite<char[]>(putback_size + size_);
            setg(start(), start(), start());
        }
    }
    void prepare_to_write() {
        throw_kept_error();
        if (!out_)
            out_ = std::make_unique_for_overwrite<char[]>(size_);
        if (!pbase())
            setp(out_.get(), out_.get() + size_);
    }

    /// @returns 0 at end of file
    std::size_t read(asio::mutable_buffer to) {
        error_code ec;
        std::size_t const n = stream_.read_some(to, ec);
        if (n == 0 && ec && ec != asio::error::eof)
            throw system_error(ec, "read_some");
        return n;
    }
    char* start() noexcept { return in_.get() + putback_size; } ///< of what is read; before it is what was
    std::size_t pending() const noexcept { return static_cast<std::size_t>(pptr() - pbase()); }
    void put(char const* from, std::streamsize n) {
        std::memcpy(pptr(), from, static_cast<std::size_t>(n));
        pbump(static_cast<int>(n));
    }
    bool has_unitbuf() const noexcept {
        return std::any_of(writers_.begin(), writers_.end(), [](std::ios_base const* writer) {
            return writer && (writer->flags() & std::ios_base::unitbuf) != 0;
        });
    }
    void has_no_areas() noexcept {
        setg(nullptr, nullptr, nullptr);
        setp(nullptr, nullptr);
    }

    Stream stream_;
    std::size_t size_;
    std::unique_ptr<char[]> in_;
    std::unique_ptr<char[]> out_;
    std::exception_ptr kept_error_;
    std::array<std::ios_base const*, 2> writers_{};
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
