// SPDX-License-Identifier: MIT
// A transaction: begun, and committed or given up, over a connection that awaits.

#include <asio.hpp>
#include <greenback/greenback.hpp>

#include <iostream>
#include <stdexcept>
#include <string>

std::string said; // what the server was told

asio::awaitable<void> tell(std::string text) {
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
    said += text + ' ';
}

// [use]
struct transaction {
    std::string to_end_with = "rollback";
    void commit() { to_end_with = "commit"; }
};

asio::awaitable<transaction> begin() {
    co_await tell("begin");
    co_return transaction();
}

void transfer(int amount) {
    greenback::async_context t(begin(), [](transaction& own) { return tell(own.to_end_with); });
    greenback::await_(tell("debit"));
    if (amount > 100)
        throw std::runtime_error("too much");
    greenback::await_(tell("credit"));
    t->commit();
} // awaits: commit, or rollback
// [/use]

int main() {
    asio::io_context loop;
    bool refused = false;
    auto const task = [&] {
        transfer(50);
        try {
            transfer(500);
        } catch (std::runtime_error const&) {
            refused = true;
        }
    };
    greenback::spawn(loop, task, greenback::rethrow);
    loop.run();
    std::cout << said << '\n';
    return refused && said == "begin debit credit commit begin debit rollback " ? 0 : 1;
}
