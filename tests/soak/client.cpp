// SPDX-License-Identifier: MIT
#include "soak/client.hpp"

#include "soak/counts.hpp"
#include "soak/dice.hpp"
#include "soak/kinds.hpp"
#include "soak/ledger.hpp"
#include "soak/server.hpp"

#include <memory>
#include <sstream>
#include <vector>

namespace soak {
namespace {

using namespace asio::experimental::awaitable_operators;
using greenback::await_;

any_socket connect() {
    any_socket socket(await_(asio::this_coro::executor));
    auto const where = servers.some();
    if (one_in(2))
        socket.async_connect(where, greenback::use_portal);
    else
        await_(socket.async_connect(where, asio::use_awaitable));
    return socket;
}

std::string line_for(std::uint64_t number, char const* what, std::size_t how_much) {
    memory_window const window(200);
    std::ostringstream line;
    line.exceptions(std::ios::badbit);
    line << number << ' ' << what << ' ' << how_much << '\n';
    return line.str();
}

/// @throws what the answer means, if it is not the right one
void check(std::uint64_t number, std::string line, std::string const& right) {
    if (!line.empty() && line.back() == '\n')
        line.pop_back();
    if (line == std::to_string(number) + ' ' + right)
        return;
    if (line == "0 memory")
        throw server_failed{"failed: the server had no memory or stack"};
    if (line == std::to_string(number) + " failed")
        throw server_failed{"failed: the server's code threw, on purpose"};
    throw wrong_answer{"to request " + std::to_string(number) + ": \"" + line + "\""};
}

using stream = greenback::sync_stream<any_socket&>;

std::string read_line(stream& s, std::string& pending) {
    auto const size = asio::read_until(s, asio::dynamic_buffer(pending), '\n');
    std::string line = pending.substr(0, size);
    pending.erase(0, size);
    return line;
}

asio::awaitable<std::string> exchange(any_socket& socket, std::string line) {
    co_await asio::async_write(socket, asio::buffer(line), asio::use_awaitable);
    std::string answer;
    co_await asio::async_read_until(socket, asio::dynamic_buffer(answer), '\n', asio::use_awaitable);
    co_return answer;
}

asio::awaitable<void> pause(std::chrono::milliseconds time) {
    asio::steady_timer timer(co_await asio::this_coro::executor, time);
    co_await timer.async_wait(asio::use_awaitable);
}

// ---- ways to make a request -----------------------------------------------------------------------------------------
// Each leaves the connection as it was, or throws.

void by_stream(any_socket& socket, std::uint64_t n) {
    auto const size = below(3000);
    stream s(socket);
    if (one_in(2))
        s.expires_after(std::chrono::seconds(50));
    asio::write(s, asio::buffer(line_for(n, "echo", size)));
    std::string pending;
    check(n, read_line(s, pending), payload(n, size));
}

void by_iostream(any_socket& socket, std::uint64_t n) {
    greenback::basic_iostream io(socket, 64);
    auto const size = below(300);
    io << line_for(n, one_in(2) ? "nested" : "compute", size);
    std::string line;
    if (!std::getline(io, line))
        throw test::system_error(asio::error::eof);
    check(n, line, payload(n, size));
}

void by_coroutine(any_socket& socket, std::uint64_t n) {
    auto line = line_for(n, "echo", 100);
    auto coroutine = [&] { // the making of its frame may fail
        memory_window const window(10);
        return exchange(socket, std::move(line));
    }();
    check(n, await_(std::move(coroutine)), payload(n, 100));
}

// The server is slower or quicker than the deadline: both are right, as long as the answer is.
void with_deadline(any_socket& socket, std::uint64_t n) {
    count("trouble: a deadline");
    auto const size = below(20);
    check(n, greenback::await_for(milliseconds_between(1, 20), exchange(socket, line_for(n, "slow", size))),
          payload(n, size));
}

void in_stream_time(any_socket& socket, std::uint64_t n) {
    count("trouble: a stream's deadline");
    auto const size = below(20);
    stream s(socket);
    s.expires_after(milliseconds_between(1, 20));
    asio::write(s, asio::buffer(line_for(n, "slow", size)));
    std::string pending;
    check(n, read_line(s, pending), payload(n, size));
}

void or_a_timer(any_socket& socket, std::uint64_t n) {
    auto const size = below(20);
    auto const first = await_(exchange(socket, line_for(n, "slow", size)) || pause(milliseconds_between(1, 20)));
    if (first.index() == 1) {
        count("trouble: a cancellation by ||");
        throw test::system_error(asio::error::operation_aborted);
    }
    check(n, std::get<0>(first), payload(n, size));
}

void line_by_line(any_socket& socket, std::uint64_t n) {
    std::size_t const lines = 1 + below(20);
    stream s(socket);
    asio::write(s, asio::buffer(line_for(n, "lines", lines)));
    std::string pending;
    std::size_t read = 0;
    auto const next = [&]() -> asio::awaitable<std::optional<std::string>> {
        if (read == lines)
            co_return std::nullopt;
        auto const size =
            co_await asio::async_read_until(socket, asio::dynamic_buffer(pending), '\n', asio::use_awaitable);
        ++read;
        std::string line = pending.substr(0, size);
        pending.erase(0, size);
        co_return line;
    };
    std::size_t i = 0;
    for (std::string& line : greenback::async_iter(next))
        check(n, line, payload(n + i++, 20));
    if (i != lines)
        throw wrong_answer{"too few lines"};
}

void server_throws(any_socket& socket, std::uint64_t n) {
    stream s(socket);
    asio::write(s, asio::buffer(line_for(n, "fail", 0)));
    std::string pending;
    check(n, read_line(s, pending), "");
    throw wrong_answer{"the server did not fail"};
}

// ---- ways to end a connection ---------------------------------------------------------------------------------------

void half_close(any_socket& socket, std::uint64_t n) {
    count("trouble: a half closed connection");
    stream s(socket);
    asio::write(s, asio::buffer(line_for(n, "echo", 10)));
    socket.shutdown(asio::socket_base::shutdown_send);
    std::string pending;
    check(n, read_line(s, pending), payload(n, 10));
}

void reset(any_socket& socket, std::uint64_t n) {
    count("trouble: the client reset a connection");
    stream s(socket);
    asio::write(s, asio::buffer(line_for(n, "slow", below(5))));
    if (one_in(2))
        greenback::sleep_for(std::chrono::milliseconds(below(5)));
    socket.set_option(asio::socket_base::linger(true, 0));
    socket.close();
    throw test::system_error(asio::error::connection_reset);
}

void hung_up(any_socket& socket, std::uint64_t n) {
    stream s(socket);
    asio::write(s, asio::buffer(line_for(n, one_in(2) ? "reset" : "hangup", 0)));
    std::string pending;
    check(n, read_line(s, pending), "");
    throw wrong_answer{"the server did not hang up"};
}

// Several at once, each by a connection of its own, each a request of its own.
void several_at_once() {
    std::vector<asio::awaitable<void>> tasks;
    for (unsigned i = 2 + below(3); i != 0; --i)
        tasks.push_back(in_some_portal([] {
            ask([](std::uint64_t n) {
                auto socket = connect();
                by_stream(socket, n);
            });
        }));
    greenback::await_all(std::move(tasks));
}

void conversation() {
    std::unique_ptr<any_socket> socket;
    bool usable = true;
    auto const by = [&](void (*way)(any_socket&, std::uint64_t)) {
        usable = false;
        ask([&](std::uint64_t n) {
            if (!socket)
                socket = std::make_unique<any_socket>(connect());
            way(*socket, n);
            usable = true;
        });
    };
    for (unsigned i = 1 + below(10); i != 0 && usable; --i) {
        switch (below(24)) {
        case 0:
        case 1:
        case 2: by(by_iostream); break;
        case 3:
        case 4:
        case 5: by(by_coroutine); break;
        case 6: by(with_deadline); break;
        case 7: by(in_stream_time); break;
        case 8: by(or_a_timer); break;
        case 9:
        case 10: by(line_by_line); break;
        case 11: by(server_throws); break;
        case 12: by(half_close); return;
        case 13: by(reset); return;
        case 14: by(hung_up); return;
        case 15: several_at_once(); break;
        default: by(by_stream);
        }
        if (one_in(3))
            greenback::sleep_for(milliseconds_between(0, 5));
    }
}

} // namespace

void client(site& home) {
    while (!home.ending()) {
        if (one_in(3))
            local_work(home);
        else
            conversation();
        greenback::sleep_for(milliseconds_between(5, 60)); // throws where the task is cancelled
    }
}

} // namespace soak
