// SPDX-License-Identifier: MIT
#include "soak/server.hpp"

#include "soak/counts.hpp"
#include "soak/dice.hpp"
#include "soak/kinds.hpp"
#include "soak/ledger.hpp"

#include <sstream>
#include <stdexcept>
#include <vector>

namespace soak {
namespace {

struct order {
    std::uint64_t number = 0;
    std::string what;
    std::size_t how_much = 0;
};

/// Synchronous code as there is much of it: strings and streams. Memory may be wanting.
order parse(std::string const& line) {
    memory_window const window(200);
    std::istringstream in(line);
    in.exceptions(std::ios::badbit);
    order o;
    in >> o.number >> o.what >> o.how_much;
    if (!in)
        throw wrong_answer{"the server got the line \"" + line + "\""};
    return o;
}

/// A connection, as a request's code sees it.
class peer_stream {
public:
    virtual ~peer_stream() = default;
    virtual bool read(std::string& line) = 0;
    virtual void write(std::string const& text) = 0;
    virtual any_socket& socket() = 0;
};

class by_sync_stream : public peer_stream {
public:
    explicit by_sync_stream(any_socket s) : stream_(std::move(s)) { stream_.expires_after(std::chrono::seconds(60)); }
    bool read(std::string& line) override {
        test::error_code ec;
        auto const size = asio::read_until(stream_, asio::dynamic_buffer(pending_), '\n', ec);
        if (ec == asio::error::eof)
            return false;
        if (ec)
            throw test::system_error(ec);
        line = pending_.substr(0, size - 1);
        pending_.erase(0, size);
        return true;
    }
    void write(std::string const& text) override { asio::write(stream_, asio::buffer(text)); }
    any_socket& socket() override { return stream_.next_layer(); }

private:
    greenback::sync_stream<any_socket> stream_;
    std::string pending_;
};

class by_iostream : public peer_stream {
public:
    explicit by_iostream(any_socket s) : stream_(std::move(s), 16 + below(2000)) {}
    bool read(std::string& line) override { return static_cast<bool>(std::getline(stream_.in(), line)); }
    void write(std::string const& text) override { stream_.out() << text << std::flush; }
    any_socket& socket() override { return stream_.next_layer(); }

private:
    greenback::basic_iostream<any_socket> stream_;
};

asio::awaitable<void> throw_from_a_coroutine(std::uint64_t number) {
    co_await asio::post(asio::use_awaitable);
    co_await greenback::with_portal_run_sync([number] {
        greenback::sleep_for(std::chrono::milliseconds(1));
        throw thrown_on_purpose{number};
    });
}

void answer(peer_stream& peer, order const& o) {
    auto const text = [&](std::size_t part = 0) {
        return std::to_string(o.number) + ' ' + payload(o.number + part, o.how_much) + '\n';
    };
    if (o.what == "echo") {
        peer.write(text());
    } else if (o.what == "slow") { // late by as many milliseconds
        greenback::sleep_for(std::chrono::milliseconds(o.how_much));
        peer.write(text());
    } else if (o.what == "lines") { // so many
        for (std::size_t i = 0; i != o.how_much; ++i)
            peer.write(std::to_string(o.number) + ' ' + payload(o.number + i, 20) + '\n');
    } else if (o.what == "fail") { // through a coroutine, a portal, and this
        greenback::await_(throw_from_a_coroutine(o.number));
    } else if (o.what == "nested") {
        greenback::await_(in_some_portal([&] {
            greenback::sleep_for(std::chrono::milliseconds(1));
            peer.write(text());
        }));
    } else if (o.what == "compute") {
        auto const result = greenback::on_executor(elsewhere(), [&o] { return payload(o.number, o.how_much); });
        peer.write(std::to_string(o.number) + ' ' + result + '\n');
    } else if (o.what == "reset") {
        count("trouble: the server reset a connection");
        peer.socket().set_option(asio::socket_base::linger(true, 0));
        peer.socket().close();
    } else if (o.what == "hangup") {
        count("trouble: the server closed without an answer");
        peer.socket().close();
    } else {
        throw wrong_answer{"the server was asked for " + o.what};
    }
}

/// @returns whether the connection goes on
bool serve_one(peer_stream& peer, std::string const& line) {
    std::string refusal;
    try {
        answer(peer, parse(line));
        return peer.socket().is_open();
    } catch (thrown_on_purpose const& e) {
        refusal = std::to_string(e.number) + " failed\n";
    } catch (std::bad_alloc const&) { // of a window, or for want of a stack
        refusal = "0 memory\n";
    }
    peer.write(refusal);
    return true;
}

void serve(peer_stream& peer, site& home) {
    for (std::string line; !home.ending() && peer.read(line);)
        if (!serve_one(peer, line))
            return;
}

} // namespace

std::string payload(std::uint64_t number, std::size_t size) {
    std::string text(size, ' ');
    for (std::size_t i = 0; i != size; ++i)
        text[i] = static_cast<char>('a' + (number * 31 + i * (1 + number % 7)) % 26);
    return text;
}

void session(site& home, any_socket socket) {
    count("kind: a session");
    if (one_in(2)) {
        by_sync_stream peer(std::move(socket));
        serve(peer, home);
    } else {
        by_iostream peer(std::move(socket));
        serve(peer, home);
    }
}

} // namespace soak
