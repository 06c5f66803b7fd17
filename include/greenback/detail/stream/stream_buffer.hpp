// SPDX-License-Identifier: MIT
// The buffer of a basic_iostream, over any synchronous stream.
#pragma once

#include <greenback/detail/asio/backend.hpp>
#include <greenback/detail/config.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <exception>
#include <ios>
#include <memory>
#include <streambuf>
#include <utility>

#if defined(GREENBACK_USE_BOOST_ASIO)
#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#else
#include <asio/buffer.hpp>
#include <asio/write.hpp>
#endif

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// `in_` has the last `putback` bytes that were read, and then the get area; `out_` is the put area. Both are made when
/// they are first needed, so that a moved-from buffer is an empty one.
template <class Stream> class stream_buffer : public std::streambuf {
public:
    static constexpr std::size_t putback = 16;

    template <class T>
    stream_buffer(std::size_t size, T&& stream) : stream_(std::forward<T>(stream)), size_(std::max(size, putback)) {}

    stream_buffer(stream_buffer&& other)
        : std::streambuf(other), stream_(std::move(other.stream_)), size_(other.size_), in_(std::move(other.in_)),
          out_(std::move(other.out_)), deferred_(std::move(other.deferred_)) {
        other.forget_areas();
    }
    stream_buffer& operator=(stream_buffer&& other) {
        std::streambuf::operator=(other); // the areas, which lie in what is moved next
        stream_ = std::move(other.stream_);
        size_ = other.size_;
        in_ = std::move(other.in_);
        out_ = std::move(other.out_);
        deferred_ = std::move(other.deferred_);
        other.forget_areas();
        return *this;
    }

    Stream& stream() noexcept { return stream_; }
    bool has_output() const noexcept { return pptr() != pbase(); }

    /// Sends what is in the put area, and `size` bytes more, gathered. The put area is empty from the start: whatever
    /// comes of it, nothing is to be sent twice.
    void send(char const* more = nullptr, std::size_t size = 0) {
        std::array<asio::const_buffer, 2> const all{asio::buffer(pbase(), output_size()), asio::buffer(more, size)};
        setp(pbase(), epptr());
        asio::write(stream_, all);
    }

    /// Whose `unitbuf` counts: see `sync`.
    void serves(std::array<std::ios_base const*, 3> const& users) noexcept { users_ = users; }

protected:
    int_type underflow() override {
        if (gptr() == egptr() && !refill())
            return traits_type::eof();
        return traits_type::to_int_type(*gptr());
    }

    std::streamsize xsgetn(char* to, std::streamsize size) override {
        std::size_t const wanted = static_cast<std::size_t>(size);
        std::size_t got = 0;
        while (got != wanted) {
            if (std::size_t const here = std::min(wanted - got, input_size()); here != 0) {
                std::memcpy(to + got, gptr(), here);
                gbump(static_cast<int>(here));
                got += here;
            } else if (wanted - got < size_) {
                if (!refill())
                    break;
            } else {
                std::size_t const n = read(to + got, wanted - got); // as much as the get area has room for: past it
                if (n == 0)
                    break;
                got += n;
                keep_for_putback(to + got - std::min(n, putback), std::min(n, putback));
            }
        }
        return static_cast<std::streamsize>(got);
    }

    std::streamsize showmanyc() override {
        if constexpr (requires(error_code& error) { stream_.next_layer().available(error); }) {
            error_code error;
            std::size_t const n = stream_.next_layer().available(error);
            return static_cast<std::streamsize>(error ? 0 : std::min(n, size_));
        } else {
            return 0; // nobody knows
        }
    }

    int_type overflow(int_type c) override {
        throw_deferred();
        make_room();
        if (pptr() == epptr())
            send();
        if (!traits_type::eq_int_type(c, traits_type::eof())) {
            *pptr() = traits_type::to_char_type(c);
            pbump(1);
        }
        return traits_type::not_eof(c);
    }

    std::streamsize xsputn(char const* from, std::streamsize size) override {
        throw_deferred();
        make_room();
        auto const n = static_cast<std::size_t>(size);
        if (n >= size_) {
            send(from, n);
            return size;
        }
        std::size_t const first = std::min(n, static_cast<std::size_t>(epptr() - pptr()));
        put(from, first);
        if (first != n) {
            send();
            put(from + first, n - first);
        }
        return size;
    }

    /// libstdc++ flushes a stream that has `unitbuf` in the destructor of `ostream::sentry`, where an exception, or an
    /// error that `exceptions` would turn into one, is the end of the program. Then the exception is kept for whoever
    /// reads, writes or flushes next.
    int sync() override {
        if (std::none_of(users_.begin(), users_.end(),
                         [](auto* user) { return user && (user->flags() & std::ios_base::unitbuf) != 0; })) {
            throw_deferred();
            if (has_output())
                send();
        } else if (has_output() && !deferred_) {
            try {
                send();
            } catch (...) {
                deferred_ = std::current_exception();
            }
        }
        return 0;
    }

private:
    /// @returns whether there is input now. If not, that is the end of it.
    bool refill() {
        std::size_t const kept = std::min(static_cast<std::size_t>(gptr() - eback()), putback);
        if (!in_)
            in_.reset(new char[putback + size_]);
        else
            std::memmove(begin() - kept, gptr() - kept, kept);
        setg(begin() - kept, begin(), begin());
        std::size_t const n = read(begin(), size_);
        setg(eback(), begin(), begin() + n);
        return n != 0;
    }

    /// Sends the output first: the other side may be waiting for it. @returns 0 at the end of the input
    std::size_t read(char* to, std::size_t size) {
        throw_deferred();
        if (has_output())
            send();
        error_code error;
        std::size_t const n = stream_.read_some(asio::buffer(to, size), error);
        if (n == 0 && error && error != asio::error::eof)
            throw system_error(error, "read_some");
        return n;
    }

    /// Input that went elsewhere. @pre the get area is empty
    void keep_for_putback(char const* last, std::size_t size) {
        if (!in_)
            in_.reset(new char[putback + size_]);
        std::memcpy(begin() - size, last, size);
        setg(begin() - size, begin(), begin());
    }

    void put(char const* from, std::size_t size) {
        if (size == 0)
            return;
        std::memcpy(pptr(), from, size);
        pbump(static_cast<int>(size));
    }
    void make_room() {
        if (!out_) {
            out_.reset(new char[size_]);
            setp(out_.get(), out_.get() + size_);
        }
    }
    void throw_deferred() {
        if (deferred_) [[unlikely]]
            std::rethrow_exception(std::exchange(deferred_, nullptr));
    }
    void forget_areas() noexcept {
        setg(nullptr, nullptr, nullptr);
        setp(nullptr, nullptr);
    }

    char* begin() const noexcept { return in_.get() + putback; }
    std::size_t input_size() const noexcept { return static_cast<std::size_t>(egptr() - gptr()); }
    std::size_t output_size() const noexcept { return static_cast<std::size_t>(pptr() - pbase()); }

    Stream stream_;
    std::size_t size_;
    std::unique_ptr<char[]> in_, out_;
    std::exception_ptr deferred_; ///< written by `sync`, and null again when it has been thrown
    std::array<std::ios_base const*, 3> users_{};
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
