// SPDX-License-Identifier: MIT
// A request that must be answered within a time: by an awaitable, and by a whole chain of synchronous calls.

#include <greenback/greenback.hpp>

#include <asio.hpp>

#include <iostream>
#include <string>

namespace {

using namespace std::chrono_literals;

// Stands for a server that answers after a while.
asio::awaitable<std::string> answer_after(std::chrono::milliseconds time) {
    asio::steady_timer timer(co_await asio::this_coro::executor, time);
    co_await timer.async_wait(asio::use_awaitable);
    co_return "answer";
}

// [await_for]
std::string ask(std::chrono::milliseconds time) {
    try {
        return greenback::await_for(100ms, answer_after(time));
    } catch (greenback::system_error const& e) {
        if (e.code() != asio::error::timed_out)
            throw;
        return "too late"; // answer_after has been cancelled, and has ended
    }
}
// [/await_for]

std::string ask_twice() { return greenback::await_(answer_after(1ms)) + ", " + greenback::await_(answer_after(1h)); }

// [with_timeout]
asio::awaitable<std::string> handle_request() { // needs no portal itself
    try {
        co_return co_await greenback::with_timeout(100ms, ask_twice);
    } catch (greenback::system_error const& e) {
        if (e.code() != asio::error::timed_out)
            throw;
    }
    co_return "one answer at most";
}
// [/with_timeout]

} // namespace

int main() {
    asio::io_context loop;
    std::string quick, slow, both;
    auto const task = [&] {
        quick = ask(1ms);
        slow = ask(1h);
        both = greenback::await_(handle_request());
    };
    greenback::spawn(loop, task, greenback::rethrow);
    loop.run();
    std::cout << quick << '\n' << slow << '\n' << both << std::endl;
    return quick == "answer" && slow == "too late" && both == "one answer at most" ? 0 : 1;
}
