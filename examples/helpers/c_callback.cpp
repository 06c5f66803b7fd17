// SPDX-License-Identifier: MIT
// A database in C calls back for every row. The callback sends the row over a network, and may fail.

#include <greenback/greenback.hpp>

#include <asio.hpp>

#include <iostream>
#include <stdexcept>
#include <string>

// The C library; the function is that of sqlite3_exec.
extern "C" int c_exec(int rows, int (*row)(void* user, int count, char const** values), void* user) {
    char const* values[] = {"Ada", "Grace", "", "Barbara"};
    for (int i = 0; i != rows; ++i)
        if (row(user, 1, &values[i]) != 0)
            return 4; // "aborted by the callback"
    return 0;
}

namespace {

void send(asio::steady_timer& pace, std::string const& line, std::string& sent) {
    if (line.empty())
        throw std::invalid_argument("an empty row");
    pace.expires_after(std::chrono::milliseconds(1));
    pace.async_wait(greenback::use_portal); // stands for a write to a socket
    sent += line + ' ';
}

// [c_callback]
std::string send_rows(int rows) {
    asio::steady_timer pace(greenback::await_(asio::this_coro::executor));
    std::string sent;
    greenback::c_callback cb([&](int, char const** values) { return send(pace, values[0], sent), 0; }, -1);
    int const result = c_exec(rows, cb, &cb);
    cb.rethrow(); // what the callback has thrown comes before what the library says of it
    if (result != 0)
        throw std::runtime_error("c_exec");
    return sent;
}
// [/c_callback]

} // namespace

int main() {
    std::string sent, error;
    asio::io_context loop;
    auto const task = [&] {
        sent = send_rows(2);
        try {
            send_rows(4);
        } catch (std::invalid_argument const& e) {
            error = e.what();
        }
    };
    greenback::spawn(loop, task, greenback::rethrow);
    loop.run();
    std::cout << sent << error << std::endl;
    return sent == "Ada Grace " && error == "an empty row" ? 0 : 1;
}
