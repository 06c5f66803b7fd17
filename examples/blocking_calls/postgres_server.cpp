// SPDX-License-Identifier: MIT
// An HTTP server whose handlers ask PostgreSQL, by libpq as it is. GET /double/21 is answered with 42, a second later.
//
// This source is built twice. As postgres_server it is linked with greenback::blocking_calls: on one thread, all
// handlers wait at once. As postgres_server_blocking it is not, and one waits after the other, or, with --threads, each
// on a thread of its own. postgres.sh runs all three beside a PostgreSQL server.

#include "postgres_server.hpp"

#include <asio.hpp>
#include <greenback/greenback.hpp>

#include <charconv>
#include <iostream>
#include <libpq-fe.h>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using asio::ip::tcp;

// [handler]
/// Ordinary code with libpq: nothing here knows of event loops, of coroutines, or of greenback.
std::string ask_database(int number) {
    std::unique_ptr<PGconn, decltype(&PQfinish)> const database(PQconnectdb(""), PQfinish);
    if (PQstatus(database.get()) != CONNECTION_OK)
        throw std::runtime_error(PQerrorMessage(database.get()));

    std::string const query = "select pg_sleep(1), 2 * " + std::to_string(number);
    std::unique_ptr<PGresult, decltype(&PQclear)> const result(PQexec(database.get(), query.c_str()), PQclear);
    if (PQresultStatus(result.get()) != PGRES_TUPLES_OK)
        throw std::runtime_error(PQerrorMessage(database.get()));
    return PQgetvalue(result.get(), 0, 1);
}

/// Asio's synchronous functions, as for a thread for each connection.
void serve(tcp::socket socket) {
    std::string request;
    asio::read_until(socket, asio::dynamic_buffer(request), "\r\n\r\n");

    std::string status = "200 OK", body;
    try {
        constexpr std::string_view path = "GET /double/";
        int number = 0;
        if (!request.starts_with(path) ||
            std::from_chars(request.data() + path.size(), request.data() + request.size(), number).ec != std::errc())
            throw std::invalid_argument("ask for /double/ and a number");
        body = ask_database(number);
    } catch (std::exception const& e) {
        status = "500 Internal Server Error";
        body = e.what();
    }
    asio::write(socket, asio::buffer("HTTP/1.1 " + status + "\r\nConnection: close\r\nContent-Length: " +
                                     std::to_string(body.size()) + "\r\n\r\n" + body));
}
// [/handler]

// [server]
asio::awaitable<void> accept(tcp::acceptor& acceptor) {
    for (;;) {
        tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
        auto const executor = socket.get_executor();
        greenback::spawn(
            executor, [socket = std::move(socket)]() mutable { serve(std::move(socket)); }, report_failure);
    }
}
// [/server]

/// The same with a thread for each connection.
asio::awaitable<void> accept_with_threads(tcp::acceptor& acceptor, std::vector<std::jthread>& threads) {
    for (;;) {
        tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
        threads.emplace_back([socket = std::move(socket)]() mutable {
            try {
                serve(std::move(socket));
            } catch (...) {
                report_failure(std::current_exception());
            }
        });
    }
}

} // namespace

int main(int argc, char** argv) try {
    asio::io_context loop;
    tcp::acceptor acceptor(loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    acceptor.listen(1024);
    std::cout << "port " << acceptor.local_endpoint().port() << std::endl;

    std::vector<std::jthread> threads;
    if (argc > 1 && argv[1] == std::string_view("--threads"))
        asio::co_spawn(loop, accept_with_threads(acceptor, threads), greenback::rethrow);
    else
        asio::co_spawn(loop, accept(acceptor), greenback::rethrow);

    // Until it is told to stop, a timer beats every 10 ms: the longest pause shows how long the loop was blocked.
    heartbeat beat;
    asio::co_spawn(loop, beat.run(), greenback::rethrow);
    asio::signal_set signals(loop, SIGTERM, SIGINT);
    signals.async_wait([&](auto...) { loop.stop(); });
    loop.run();

    print_memory();
    std::cout << "    the event loop's longest pause: " << beat.longest_pause().count() << " ms\n";
} catch (std::exception const& e) {
    std::cerr << "postgres_server: " << e.what() << '\n';
    return 1;
}
