// SPDX-License-Identifier: MIT
// docs/guide.md: what comes next. A portal that was forgotten, a limit of time, and a program that has coroutines.

#include "orders.hpp"
#include "price_server.hpp"

#include <asio.hpp>
#include <greenback/greenback.hpp>

#include <chrono>
#include <functional>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>

using asio::ip::tcp;
using namespace std::chrono_literals;

namespace {

// [stream]
class remote_prices : public price_source {
public:
    explicit remote_prices(tcp::socket socket) : stream_(std::move(socket)) {}

    int price(std::string const& item) override {
        asio::write(stream_, asio::buffer(item + '\n'));
        std::string answer;
        asio::read_until(stream_, asio::dynamic_buffer(answer), '\n');
        return std::stoi(answer);
    }

private:
    greenback::sync_stream<tcp::socket> stream_;
};
// [/stream]

// [coroutine]
asio::awaitable<std::string> answer(order of, tcp::endpoint server) {
    tcp::socket socket(co_await asio::this_coro::executor);
    co_await socket.async_connect(server, asio::use_awaitable);
    remote_prices prices(std::move(socket));
    co_return co_await greenback::with_portal_run_sync(invoice, of, std::ref(prices));
}
// [/coroutine]

// [forgotten]
asio::awaitable<std::string> forgotten(order of, tcp::endpoint server) {
    tcp::socket socket(co_await asio::this_coro::executor);
    co_await socket.async_connect(server, asio::use_awaitable);
    remote_prices prices(std::move(socket));
    co_return invoice(of, prices); // throws greenback::no_portal
}
// [/forgotten]

// [limit]
asio::awaitable<std::string> answer_in_time(order of, tcp::endpoint server) {
    try {
        co_return co_await greenback::with_timeout(50ms, [&] { return greenback::await_(answer(of, server)); });
    } catch (greenback::system_error const& e) {
        if (e.code() != asio::error::timed_out)
            throw;
        co_return of.customer + ": ask again later";
    }
}
// [/limit]

// [test]
// A test is synchronous code, in a task and a loop of its own.
void in_a_task(std::function<void()> test) {
    asio::io_context loop;
    greenback::spawn(loop, std::move(test), greenback::rethrow); // what the test throws leaves run()
    loop.run();
}

void test_a_price(tcp::endpoint server) {
    in_a_task([&] {
        tcp::socket socket(greenback::await_(asio::this_coro::executor));
        socket.async_connect(server, greenback::use_portal);
        remote_prices prices(std::move(socket));
        if (prices.price("honey") != 5)
            throw std::runtime_error("honey is 5");
    });
}
// [/test]

/// What a task ends with.
std::string run(asio::awaitable<std::string> task) {
    asio::io_context loop;
    std::string result;
    asio::co_spawn(loop, std::move(task), [&](std::exception_ptr error, std::string text) {
        greenback::rethrow(error);
        result = std::move(text);
    });
    loop.run();
    return result;
}

int failures = 0;

void expect(std::string_view wanted, std::string_view is) {
    std::cout << is << '\n';
    if (is != wanted) {
        std::cerr << "further: that should have been: " << wanted << '\n';
        ++failures;
    }
}

} // namespace

int main() {
    price_server const server(1), silent(1000);
    expect("Ada: 7", run(answer(orders[0], server.endpoint())));
    expect("Ada: ask again later", run(answer_in_time(orders[0], silent.endpoint())));
    test_a_price(server.endpoint());
    try {
        run(forgotten(orders[0], server.endpoint()));
        expect("no_portal", "no exception");
    } catch (greenback::no_portal const& e) {
        std::cout << e.what() << '\n';
    }
    return failures == 0 ? 0 : 1;
}
