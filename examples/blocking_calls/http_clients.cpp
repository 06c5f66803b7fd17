// SPDX-License-Identifier: MIT
// http_clients <port> <count> <seconds>: asks postgres_server that many questions at once, checks each answer, and
// fails if one is wrong or if they have taken longer than that.

#include <asio.hpp>
#include <greenback/greenback.hpp>

#include <algorithm>
#include <chrono>
#include <iomanip>
#include <iostream>
#include <stdexcept>
#include <string>
#include <unistd.h>

namespace {

using asio::ip::tcp;
using std::chrono::steady_clock;
using namespace std::chrono_literals;
using seconds = std::chrono::duration<double>;

struct totals {
    int waiting = 0, answered = 0;
    seconds slowest{};
};

asio::awaitable<void> ask(tcp::endpoint server, int number, totals& sum) {
    auto const start = steady_clock::now();
    tcp::socket socket(co_await asio::this_coro::executor);
    co_await socket.async_connect(server, asio::use_awaitable);
    std::string const request = "GET /double/" + std::to_string(number) + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
    co_await asio::async_write(socket, asio::buffer(request), asio::use_awaitable);
    ++sum.waiting;

    std::string answer;
    greenback::error_code end;
    co_await asio::async_read(socket, asio::dynamic_buffer(answer), asio::redirect_error(asio::use_awaitable, end));
    if (end != asio::error::eof)
        throw greenback::system_error(end);
    --sum.waiting;
    if (!answer.starts_with("HTTP/1.1 200 ") || !answer.ends_with("\r\n\r\n" + std::to_string(2 * number)))
        throw std::runtime_error("not the answer to " + std::to_string(number) + ": " + answer);
    ++sum.answered;
    sum.slowest = std::max<seconds>(sum.slowest, steady_clock::now() - start);
}

/// One line that is written over and over on a terminal, a line twice a second elsewhere.
asio::awaitable<void> show_progress(int count, totals const& sum) {
    bool const terminal = ::isatty(STDOUT_FILENO) != 0;
    asio::steady_timer timer(co_await asio::this_coro::executor);
    for (;;) {
        timer.expires_after(terminal ? 100ms : 500ms);
        co_await timer.async_wait(asio::use_awaitable);
        std::cout << (terminal ? "\r" : "") << "    " << std::setw(3) << sum.waiting << " waiting, " << std::setw(3)
                  << sum.answered << " of " << count << " answered" << (terminal ? " " : "\n") << std::flush;
    }
}

} // namespace

int main(int argc, char** argv) try {
    if (argc != 4)
        throw std::invalid_argument("usage: http_clients <port> <count> <seconds>");
    tcp::endpoint const server(asio::ip::address_v4::loopback(), static_cast<unsigned short>(std::stoi(argv[1])));
    int const count = std::stoi(argv[2]);

    totals sum;
    asio::io_context loop;
    asio::co_spawn(loop, show_progress(count, sum), greenback::rethrow);
    for (int i = 1; i <= count; ++i)
        asio::co_spawn(loop, ask(server, i, sum), [&](std::exception_ptr error) {
            greenback::rethrow(error);
            if (sum.answered == count)
                loop.stop();
        });
    auto const start = steady_clock::now();
    loop.run_for(std::chrono::seconds(std::stoi(argv[3])));
    seconds const time = steady_clock::now() - start;

    std::cout << (::isatty(STDOUT_FILENO) ? "\r\x1b[K" : "") << "    " << sum.answered << " of " << count
              << " requests answered, each rightly, in " << std::fixed << std::setprecision(2) << time.count()
              << " s; the slowest took " << sum.slowest.count() << " s\n";
    if (sum.answered != count)
        throw std::runtime_error("the others had no answer in time");
} catch (std::exception const& e) {
    std::cerr << "http_clients: " << e.what() << '\n';
    return 1;
}
