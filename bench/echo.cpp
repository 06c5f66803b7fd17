// SPDX-License-Identifier: MIT
// Servers that send back every line they receive, over loopback TCP, each in a process of its own with one thread:
//
//     co_await     a session is a coroutine
//     await_       a session is synchronous code; each line is read and written ten calls deep, by await_
//     use_portal   the same with the completion token
//     spawn        the same with asio::spawn's yield_context passed down (in bench_echo_beside_spawn)
//
// How they are measured: support/line_servers.hpp.
//
//     bench_echo [--rounds <n>] [--milliseconds <n>] [--connections <n>]

#include "support/line_servers.hpp"
#include "support/operations.hpp"

#include <exception>
#include <string>
#include <utility>

namespace {

using asio::ip::tcp;
using bench::task;
using bench::line_servers::server_kind;

// ---- the servers ----

constexpr int depth = 10;

task<> co_await_session(tcp::socket socket) {
    try {
        for (std::string buffer;;) {
            std::size_t n =
                co_await asio::async_read_until(socket, asio::dynamic_buffer(buffer), '\n', asio::use_awaitable);
            co_await asio::async_write(socket, asio::buffer(buffer.data(), n), asio::use_awaitable);
            buffer.erase(0, n);
        }
    } catch (std::exception const&) { // the client has gone
    }
}

[[gnu::noinline]] void await_line(tcp::socket& socket, std::string& buffer, int levels) {
    if (levels > 1) {
        await_line(socket, buffer, levels - 1);
    } else {
        std::size_t n =
            greenback::await_(asio::async_read_until(socket, asio::dynamic_buffer(buffer), '\n', asio::use_awaitable));
        greenback::await_(asio::async_write(socket, asio::buffer(buffer.data(), n), asio::use_awaitable));
        buffer.erase(0, n);
    }
    asm volatile("" ::: "memory"); // no tail call
}

void await_session(tcp::socket socket) {
    try {
        for (std::string buffer;;)
            await_line(socket, buffer, depth);
    } catch (std::exception const&) {
    }
}

[[gnu::noinline]] void use_portal_line(tcp::socket& socket, std::string& buffer, int levels) {
    if (levels > 1) {
        use_portal_line(socket, buffer, levels - 1);
    } else {
        std::size_t n = asio::async_read_until(socket, asio::dynamic_buffer(buffer), '\n', greenback::use_portal);
        asio::async_write(socket, asio::buffer(buffer.data(), n), greenback::use_portal);
        buffer.erase(0, n);
    }
    asm volatile("" ::: "memory");
}

void use_portal_session(tcp::socket socket) {
    try {
        for (std::string buffer;;)
            use_portal_line(socket, buffer, depth);
    } catch (std::exception const&) {
    }
}

#if defined(GREENBACK_USE_BOOST_ASIO)
[[gnu::noinline]] void spawn_line(tcp::socket& socket, std::string& buffer, int levels,
                                  asio::yield_context const& yield) {
    if (levels > 1) {
        spawn_line(socket, buffer, levels - 1, yield);
    } else {
        std::size_t n = asio::async_read_until(socket, asio::dynamic_buffer(buffer), '\n', yield);
        asio::async_write(socket, asio::buffer(buffer.data(), n), yield);
        buffer.erase(0, n);
    }
    asm volatile("" ::: "memory");
}

void spawn_session(tcp::socket socket, asio::yield_context yield) {
    try {
        for (std::string buffer;;)
            spawn_line(socket, buffer, depth, yield);
    } catch (std::exception const&) {
    }
}
#endif

server_kind const kinds[] = {
    {"co_await",
     [](tcp::socket s) {
         auto ex = s.get_executor();
         asio::co_spawn(ex, co_await_session(std::move(s)), asio::detached);
     }},
    {"await_",
     [](tcp::socket s) {
         auto ex = s.get_executor();
         asio::co_spawn(ex, greenback::with_portal_run_sync(await_session, std::move(s)), asio::detached);
     }},
    {"use_portal",
     [](tcp::socket s) {
         auto ex = s.get_executor();
         asio::co_spawn(ex, greenback::with_portal_run_sync(use_portal_session, std::move(s)), asio::detached);
     }},
#if defined(GREENBACK_USE_BOOST_ASIO)
    {"spawn",
     [](tcp::socket s) {
         auto ex = s.get_executor();
         auto session = [s = std::move(s)](asio::yield_context yield) mutable { spawn_session(std::move(s), yield); };
         asio::spawn(ex, std::move(session), asio::detached);
     }},
#endif
};

} // namespace

int main(int argc, char** argv) { return bench::line_servers::run(kinds, {}, "request", argc, argv); }
