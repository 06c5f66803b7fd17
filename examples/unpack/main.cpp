// SPDX-License-Identifier: MIT
// The top and the bottom: archives that arrive slowly over TCP are unpacked while they arrive, first one,
// then 200 at once, on one thread. Between top and bottom stands libarchive, which reads by a callback and
// waits until it returns.

#include "input.hpp"
#include "unpack.hpp"

#include <asio.hpp>
#include <greenback/greenback.hpp>

#include <algorithm>
#include <chrono>
#include <iomanip>
#include <iostream>
#include <stdexcept>
#include <unistd.h>

namespace {

using asio::ip::tcp;
using greenback::error_code;
using std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::size_t pieces = 25; // an archive is sent in so many, an interval apart
constexpr auto interval = 40ms;
constexpr int streams = 200;

// ---- the bottom
// ------------------------------------------------------------------------------------------------------

/// A source that awaits. libarchive calls `read`, by way of the callback in unpack.cpp.
class socket_source : public source {
public:
    explicit socket_source(tcp::socket& socket) : socket_(socket) {}

    std::size_t read(std::span<char> buffer) override {
        error_code error;
        std::size_t const size = socket_.async_read_some(asio::buffer(buffer.data(), buffer.size()),
                                                         asio::redirect_error(greenback::use_portal, error));
        if (error && error != asio::error::eof)
            throw std::system_error(error);
        return size;
    }

private:
    tcp::socket& socket_;
};

// ---- what is made of the files
// -----------------------------------------------------------------------------------------

struct totals {
    int unpacking = 0;        ///< streams inside unpack()
    int complete = 0;         ///< streams unpacked, every file right
    std::uintmax_t bytes = 0; ///< of unpacked files
};

/// Compares every file with what `tar` unpacked.
class verifier : public visitor {
public:
    verifier(checksums const& expected, totals& sum) : expected_(expected), totals_(sum) { ++totals_.unpacking; }
    ~verifier() override { --totals_.unpacking; }
    verifier(verifier const&) = delete;

    void begin_file(std::string const& path) override {
        end_file();
        path_ = path;
        sum_ = checksum();
    }
    void data(std::span<char const> bytes) override {
        sum_.add(bytes);
        totals_.bytes += bytes.size();
    }
    void end_archive() {
        end_file();
        if (files_ != expected_.size())
            throw std::runtime_error("unpacked " + std::to_string(files_) + " files instead of " +
                                     std::to_string(expected_.size()));
        ++totals_.complete;
    }

private:
    void end_file() {
        if (path_.empty())
            return;
        auto const found = expected_.find(path_);
        if (found == expected_.end() || found->second != sum_.value())
            throw std::runtime_error(path_ + " is not what tar unpacked");
        ++files_;
        path_.clear();
    }

    checksums const& expected_;
    totals& totals_;
    std::string path_; ///< of the file that is being read; empty: none
    checksum sum_;
    std::size_t files_ = 0;
};

// ---- the top: tasks
// ----------------------------------------------------------------------------------------------------

asio::awaitable<void> receive(tcp::endpoint server, packed const& input, totals& sum) {
    tcp::socket socket(co_await asio::this_coro::executor);
    co_await socket.async_connect(server, asio::use_awaitable);
    socket_source from(socket);
    verifier to(input.expected, sum);
    co_await greenback::with_portal_run_sync(unpack, std::ref<source>(from), std::ref<visitor>(to));
    to.end_archive();
}

asio::awaitable<void> send_slowly(tcp::socket socket, packed const& input) {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    std::size_t sent = 0;
    for (std::size_t piece = 1; piece <= pieces; ++piece) {
        std::size_t const end = input.archive.size() * piece / pieces;
        co_await asio::async_write(socket, asio::buffer(input.archive.data() + sent, end - sent), asio::use_awaitable);
        sent = end;
        timer.expires_after(interval);
        co_await timer.async_wait(asio::use_awaitable);
    }
}

asio::awaitable<void> serve(tcp::acceptor& acceptor, packed const& input) {
    for (;;) {
        tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
        auto const executor = socket.get_executor();
        asio::co_spawn(executor, send_slowly(std::move(socket), input), [](std::exception_ptr) {
            // If the client has gone away, that is the client's error.
        });
    }
}

/// One line that is written over and over on a terminal, a line twice a second elsewhere.
asio::awaitable<void> show_progress(int count, totals const& sum) {
    bool const terminal = ::isatty(STDOUT_FILENO) != 0;
    asio::steady_timer timer(co_await asio::this_coro::executor);
    for (;;) {
        timer.expires_after(terminal ? 100ms : 500ms);
        co_await timer.async_wait(asio::use_awaitable);
        std::cout << (terminal ? "\r" : "") << "  " << std::setw(3) << sum.unpacking << " being unpacked, "
                  << std::setw(3) << sum.complete << " of " << count << " complete, " << std::fixed
                  << std::setprecision(1) << static_cast<double>(sum.bytes) / 1e6 << " MB" << (terminal ? " " : "\n")
                  << std::flush;
    }
}

/// Unpack `count` streams at once on this thread. @returns the seconds it took
double unpack_streams(int count, packed const& input) {
    totals sum;
    asio::io_context loop;
    tcp::acceptor acceptor(loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    acceptor.listen(1024);
    asio::co_spawn(loop, serve(acceptor, input), greenback::rethrow);
    asio::co_spawn(loop, show_progress(count, sum), greenback::rethrow);
    int ended = 0;
    for (int i = 0; i < count; ++i)
        asio::co_spawn(loop, receive(acceptor.local_endpoint(), input, sum), [&](std::exception_ptr error) {
            greenback::rethrow(error);
            if (++ended == count)
                loop.stop();
        });

    auto const start = steady_clock::now();
    loop.run();
    std::chrono::duration<double> const time = steady_clock::now() - start;

    std::cout << (::isatty(STDOUT_FILENO) ? "\r\x1b[K" : "") << std::setw(5) << count
              << (count == 1 ? " stream:  " : " streams: ") << std::fixed << std::setprecision(3) << time.count()
              << " s, " << sum.bytes << " bytes, every file as tar unpacks it\n";
    if (sum.complete != count || sum.bytes != input.size * static_cast<unsigned>(count))
        throw std::runtime_error("not every stream was unpacked");
    return time.count();
}

/// Destroy the event loop, and with it the tasks, while libarchive waits for bytes on their stacks.
void abandon_streams(int count, packed const& input) {
    totals sum;
    int before = 0;
    {
        asio::io_context loop;
        tcp::acceptor acceptor(loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
        acceptor.listen(1024);
        asio::co_spawn(loop, serve(acceptor, input), greenback::rethrow);
        for (int i = 0; i < count; ++i)
            asio::co_spawn(loop, receive(acceptor.local_endpoint(), input, sum), greenback::rethrow);
        while (sum.unpacking + sum.complete < count)
            loop.run_one();
        loop.run_for(200ms);
        before = sum.unpacking;
    }
    std::cout << std::setw(5) << before << " streams: the loop destroyed half-way, " << sum.unpacking << " left\n";
    if (before == 0 || sum.unpacking != 0)
        throw std::runtime_error("the abandoned streams were not unwound");
}

} // namespace

int main() try {
    packed const input = make_input();
    std::cout << input.expected.size() << " files of " << input.size << " bytes in an archive of "
              << input.archive.size() << " bytes, sent over TCP in " << pieces << " pieces, " << interval.count()
              << " ms apart\n";
    double const one = unpack_streams(1, input);
    double const all = unpack_streams(streams, input);
    abandon_streams(streams, input);
    std::cout << streams << " streams took " << std::setprecision(2) << all / one
              << " times as long as one, on one thread\n";
    if (all > one * streams / 10)
        throw std::runtime_error("the streams have waited for each other");
} catch (std::exception const& e) {
    std::cerr << "unpack: " << e.what() << '\n';
    return 1;
}
