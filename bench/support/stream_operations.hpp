// SPDX-License-Identifier: MIT
// The streams over the two ends of a local socket pair, beside synchronous sockets and coroutines over the same. As in
// operations.hpp, a `Loop` is anything that can stand in `for (auto _ : loop)`, and each pass is one operation.
#pragma once

#include "operations.hpp"

#include <array>
#include <cstddef>
#include <istream>
#include <ostream>
#include <string>
#include <thread>

namespace bench {

using local = asio::local::stream_protocol;

/// The loop, and the two ends.
struct connected {
    asio::io_context io{1};
    local::socket a{io}, b{io};
    connected() { asio::local::connect_pair(a, b); }

    /// A task, to its end.
    void run(task<> t) {
        asio::co_spawn(io, std::move(t), greenback::rethrow);
        io.run();
    }
};

// A line of 64 bytes, and its 64 bytes where nobody asks for lines.
inline std::string const& line() {
    static std::string const text(63, 'x');
    return text;
}
inline std::string const& bytes() {
    static std::string const text = line() + '\n';
    return text;
}
using piece = std::array<char, 64>;

// ---- 64 bytes written to one end and read from the other, where they are: nothing suspends but what Asio posts ----

template <class Loop> void piece_sockets(Loop& loop) {
    connected pair;
    piece p;
    for ([[maybe_unused]] auto _ : loop) {
        pair.a.write_some(asio::buffer(bytes()));
        pair.b.read_some(asio::buffer(p));
    }
}

template <class Loop> void piece_co_await(Loop& loop) {
    connected pair;
    pair.run([](Loop& l, connected& c) -> task<> {
        piece p;
        for ([[maybe_unused]] auto _ : l) {
            co_await c.a.async_write_some(asio::buffer(bytes()), asio::use_awaitable);
            co_await c.b.async_read_some(asio::buffer(p), asio::use_awaitable);
        }
    }(loop, pair));
}

template <class Loop> void piece_use_portal(Loop& loop) {
    connected pair;
    pair.run(greenback::with_portal_run_sync([&] {
        piece p;
        for ([[maybe_unused]] auto _ : loop) {
            pair.a.async_write_some(asio::buffer(bytes()), greenback::use_portal);
            pair.b.async_read_some(asio::buffer(p), greenback::use_portal);
        }
    }));
}

template <class Loop> void piece_sync_stream(Loop& loop) {
    connected pair;
    pair.run(greenback::with_portal_run_sync([&] {
        greenback::sync_stream a(pair.a), b(pair.b);
        piece p;
        for ([[maybe_unused]] auto _ : loop) {
            a.write_some(asio::buffer(bytes()));
            b.read_some(asio::buffer(p));
        }
    }));
}

template <class Loop> void piece_iostream(Loop& loop) {
    connected pair;
    pair.run(greenback::with_portal_run_sync([&] {
        greenback::basic_iostream a(pair.a), b(pair.b);
        piece p;
        for ([[maybe_unused]] auto _ : loop) {
            a.write(bytes().data(), std::streamsize(bytes().size())).flush();
            b.read(p.data(), std::streamsize(p.size()));
        }
    }));
}

// ---- the same by lines: `Lines` are written, sent at once, and read ----

template <int Lines, class Loop> void lines_over(Loop& loop, std::ostream& out, std::istream& in) {
    std::string read;
    for ([[maybe_unused]] auto _ : loop) {
        for (int i = 0; i != Lines; ++i)
            out << line() << '\n';
        out.flush();
        for (int i = 0; i != Lines; ++i)
            std::getline(in, read);
    }
}

/// Asio's own iostreams, which block.
template <int Lines, class Loop> void lines_socket_iostream(Loop& loop) {
    connected pair;
    local::iostream a(std::move(pair.a)), b(std::move(pair.b));
    a << std::nounitbuf; // by default it sends after each <<
    lines_over<Lines>(loop, a, b);
}

template <int Lines, class Loop> void lines_co_await(Loop& loop) {
    connected pair;
    pair.run([](Loop& l, connected& c) -> task<> {
        std::string out, in;
        for ([[maybe_unused]] auto _ : l) {
            out.clear();
            for (int i = 0; i != Lines; ++i)
                out.append(bytes());
            co_await asio::async_write(c.a, asio::buffer(out), asio::use_awaitable);
            for (int i = 0; i != Lines; ++i) {
                std::size_t const n =
                    co_await asio::async_read_until(c.b, asio::dynamic_buffer(in), '\n', asio::use_awaitable);
                in.erase(0, n);
            }
        }
    }(loop, pair));
}

template <int Lines, class Loop> void lines_iostream(Loop& loop) {
    connected pair;
    pair.run(greenback::with_portal_run_sync([&] {
        greenback::basic_iostream a(pair.a), b(pair.b);
        lines_over<Lines>(loop, a, b);
    }));
}

template <class Loop> void line_socket_iostream(Loop& loop) { lines_socket_iostream<1>(loop); }
template <class Loop> void line_co_await(Loop& loop) { lines_co_await<1>(loop); }
template <class Loop> void line_iostream(Loop& loop) { lines_iostream<1>(loop); }

// ---- a byte there and back between two tasks: each read waits ----

/// The other end: sends back what it gets, until its peer is closed.
template <class Stream> void send_back(Stream& stream) {
    char c;
    greenback::error_code ec;
    while (stream.read_some(asio::buffer(&c, 1), ec) == 1)
        stream.write_some(asio::buffer(&c, 1), ec);
}

template <class Loop, class Stream> void send_and_wait(Loop& loop, Stream& stream) {
    char c = 'x';
    for ([[maybe_unused]] auto _ : loop) {
        stream.write_some(asio::buffer(&c, 1));
        stream.read_some(asio::buffer(&c, 1));
    }
}

/// Two threads, each with a socket that blocks.
template <class Loop> void byte_there_and_back_threads(Loop& loop) {
    connected pair;
    std::thread other([&] { send_back(pair.b); });
    send_and_wait(loop, pair.a);
    pair.a.close();
    other.join();
}

template <class Loop> void byte_there_and_back_co_await(Loop& loop) {
    connected pair;
    asio::co_spawn(
        pair.io,
        [](connected& c) -> task<> {
            char byte;
            try {
                for (;;) {
                    co_await c.b.async_read_some(asio::buffer(&byte, 1), asio::use_awaitable);
                    co_await c.b.async_write_some(asio::buffer(&byte, 1), asio::use_awaitable);
                }
            } catch (std::exception const&) { // closed
            }
        }(pair),
        greenback::rethrow);
    pair.run([](Loop& l, connected& c) -> task<> {
        char byte = 'x';
        for ([[maybe_unused]] auto _ : l) {
            co_await c.a.async_write_some(asio::buffer(&byte, 1), asio::use_awaitable);
            co_await c.a.async_read_some(asio::buffer(&byte, 1), asio::use_awaitable);
        }
        c.a.close();
    }(loop, pair));
}

template <class Loop> void byte_there_and_back_sync_stream(Loop& loop) {
    connected pair;
    auto const answer = [&] {
        greenback::sync_stream b(pair.b);
        send_back(b);
    };
    asio::co_spawn(pair.io, greenback::with_portal_run_sync(answer), greenback::rethrow);
    pair.run(greenback::with_portal_run_sync([&] {
        greenback::sync_stream a(pair.a);
        send_and_wait(loop, a);
        pair.a.close();
    }));
}

} // namespace bench

/// Calls `ROW(name)` for those that one thread runs; the others are in bench/streams.cpp.
#define GREENBACK_BENCH_STREAMS(ROW) \
    ROW(piece_sockets) \
    ROW(piece_co_await) \
    ROW(piece_use_portal) \
    ROW(piece_sync_stream) \
    ROW(piece_iostream) \
    ROW(line_socket_iostream) \
    ROW(line_co_await) \
    ROW(line_iostream)
