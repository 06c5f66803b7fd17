// SPDX-License-Identifier: MIT
//
// A record reader that knows only synchronous streams is given a socket in a task, with a deadline.

#include <greenback/greenback.hpp>

#include <asio.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <string>

using asio::ip::tcp;
using namespace std::chrono_literals;

// [reader]
// Somebody else's: one byte of length, and so many of text.
template <class SyncReadStream> std::string read_record(SyncReadStream& stream) {
    std::uint8_t length = 0;
    asio::read(stream, asio::buffer(&length, 1));
    std::string text(length, '\0');
    asio::read(stream, asio::buffer(text));
    return text;
}

void session(tcp::socket socket, std::string& said) {
    greenback::sync_stream stream(std::move(socket));
    stream.expires_after(10s); // for the first record
    said = read_record(stream);
    try {
        stream.expires_after(10ms); // for another one
        said += read_record(stream);
    } catch (greenback::system_error const& e) {
        if (e.code() != asio::error::timed_out)
            throw;
        said += ", nothing more";
    }
}
// [/reader]

int main() {
    asio::io_context loop;
    tcp::acceptor acceptor(loop, {asio::ip::address_v4::loopback(), 0});
    tcp::socket peer(loop);
    peer.connect(acceptor.local_endpoint());
    std::string said;
    greenback::spawn(loop, [&] { session(acceptor.accept(), said); }, greenback::rethrow);
    asio::write(peer, asio::buffer("\x05hello", 6));
    loop.run();
    std::cout << said << '\n';
    return said == "hello, nothing more" ? 0 : 1;
}
