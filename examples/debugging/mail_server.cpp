// SPDX-License-Identifier: MIT
// For docs/debugging.md: a server whose tasks wait for ever, each for something else. `kill -USR1` shows where.

#include <greenback/dump_portals.hpp>
#include <greenback/greenback.hpp>

#include <asio.hpp>

#include <csignal>
#include <cstdio>
#include <istream>
#include <string>

/// What a mailbox is locked by. Whoever takes it a second time waits for ever.
class mailbox_lock {
public:
    explicit mailbox_lock(asio::io_context& loop) : free_(loop, asio::steady_timer::time_point::max()) {}

    void lock() {
        if (is_locked_)
            greenback::await_(free_.async_wait(asio::use_awaitable));
        is_locked_ = true;
    }

private:
    asio::steady_timer free_;
    bool is_locked_ = false;
};

void deliver(mailbox_lock& box) {
    box.lock(); // and forgets to unlock it
}

void deliver_all(mailbox_lock& box) {
    for (int i = 0; i < 3; ++i)
        deliver(box);
}

/// Reads as long as the client sends: this one says nothing at all.
std::string read_line(asio::ip::tcp::socket& client) {
    std::string line;
    asio::async_read_until(client, asio::dynamic_buffer(line), '\n', greenback::use_portal);
    return line;
}

void serve(asio::ip::tcp::socket& client) {
    while (read_line(client) != "QUIT\n")
        continue;
}

void every_hour(asio::steady_timer& clock) {
    for (;;) {
        clock.expires_after(std::chrono::hours(1));
        greenback::await_(clock.async_wait(asio::use_awaitable));
    }
}

int main() {
    // [dump_portals_on]
    greenback::dump_portals_on(SIGUSR1);
    // [/dump_portals_on]

    asio::io_context loop;
    asio::ip::tcp::acceptor acceptor(loop, {asio::ip::address_v4::loopback(), 0});
    asio::ip::tcp::socket silent(loop), client(loop);
    silent.connect(acceptor.local_endpoint());
    acceptor.accept(client);
    asio::steady_timer clock(loop);
    mailbox_lock box(loop);

    auto const start = [&](char const* label, auto task) {
        greenback::spawn(
            loop,
            [=] {
                greenback::label_portal(label);
                task();
            },
            greenback::rethrow);
    };
    start("mail session", [&] { serve(client); });
    start("delivery", [&] { deliver_all(box); });
    start("hourly", [&] { every_hour(clock); });
    asio::post(loop, [] {
        std::puts("listening");
        std::fflush(stdout);
    });
    loop.run();
}
