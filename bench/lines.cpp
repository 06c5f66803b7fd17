// SPDX-License-Identifier: MIT
// Servers of lines whose session is an iostream, and what it is measured against:
//
//     iostream      std::getline and operator<< over greenback::basic_iostream, in a portal; one thread
//     co_await      a coroutine: async_read_until and async_write for each line; one thread
//     by_hand       a coroutine with a buffer of its own: all lines that have arrived are answered by one write; one thread
//     threads       std::getline and operator<< over Asio's tcp::iostream, which blocks; a thread for each connection
//
// How they are measured: support/line_servers.hpp. Memory is that of the server's process, in the first round.
//
//     bench_lines [--rounds <n>] [--milliseconds <n>] [--connections <n>] [--lines <n>]

#include "support/line_servers.hpp"

#include <greenback/greenback.hpp>

#include <exception>
#include <string>
#include <thread>
#include <utility>

namespace {

using asio::ip::tcp;
using bench::line_servers::server_kind;

void answer(std::istream& in, std::ostream& out) {
    for (std::string line; std::getline(in, line);)
        out << line << '\n';
}

void iostream_session(tcp::socket socket) {
    try {
        greenback::basic_iostream io(std::move(socket));
        answer(io.in(), io.out());
    } catch (std::exception const&) { // the client has gone
    }
}

asio::awaitable<void> co_await_session(tcp::socket socket) {
    try {
        for (std::string buffer;;) {
            std::size_t const n =
                co_await asio::async_read_until(socket, asio::dynamic_buffer(buffer), '\n', asio::use_awaitable);
            co_await asio::async_write(socket, asio::buffer(buffer.data(), n), asio::use_awaitable);
            buffer.erase(0, n);
        }
    } catch (std::exception const&) {
    }
}

asio::awaitable<void> by_hand_session(tcp::socket socket) {
    try {
        std::string buffer(8192, '\0');
        for (std::size_t filled = 0;;) {
            filled += co_await socket.async_read_some(asio::buffer(buffer.data() + filled, buffer.size() - filled),
                                                      asio::use_awaitable);
            std::size_t const end = buffer.rfind('\n', filled - 1) + 1; // of the last line that is complete
            co_await asio::async_write(socket, asio::buffer(buffer.data(), end), asio::use_awaitable);
            buffer.copy(buffer.data(), filled - end, end);
            filled -= end;
        }
    } catch (std::exception const&) {
    }
}

void thread_session(tcp::socket socket) {
    static asio::io_context for_all;
    auto const handle = socket.release();
    tcp::iostream io;
    io.socket().assign(tcp::v4(), handle);
    io.socket().native_non_blocking(false);
    answer(io, io);
}

server_kind const kinds[] = {
    {"iostream",
     [](tcp::socket s) {
         auto ex = s.get_executor();
         asio::co_spawn(ex, greenback::with_portal_run_sync(iostream_session, std::move(s)), asio::detached);
     }},
    {"co_await",
     [](tcp::socket s) {
         auto ex = s.get_executor();
         asio::co_spawn(ex, co_await_session(std::move(s)), asio::detached);
     }},
    {"by_hand",
     [](tcp::socket s) {
         auto ex = s.get_executor();
         asio::co_spawn(ex, by_hand_session(std::move(s)), asio::detached);
     }},
    {"threads", [](tcp::socket s) { std::thread(thread_session, std::move(s)).detach(); }},
};

} // namespace

int main(int argc, char** argv) {
    bench::line_servers::options defaults;
    defaults.memory = true;
    return bench::line_servers::run(kinds, defaults, "line", argc, argv);
}
