// SPDX-License-Identifier: MIT
// A loop, and an algorithm, over what arrives one after the other.

#include <asio.hpp>
#include <asio/experimental/channel.hpp>
#include <greenback/greenback.hpp>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <optional>

using channel = asio::experimental::channel<void(greenback::error_code, int)>;

// [use]
// A function that gives one element after the other, and nothing behind the last.
class countdown {
public:
    asio::awaitable<std::optional<int>> operator()() {
        asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::milliseconds(1));
        co_await timer.async_wait(asio::use_awaitable);
        co_return left_ > 0 ? std::optional(left_--) : std::nullopt;
    }

private:
    int left_ = 3;
};

int sum_of_countdown() {
    int sum = 0;
    for (int const i : greenback::async_iter(countdown()))
        sum += i;
    return sum;
}
// [/use]

// [channel]
int largest(channel& numbers) {
    int result = 0;
    std::ranges::for_each(greenback::async_iter(numbers), [&](int i) { result = std::max(result, i); });
    return result; // the channel has been closed
}
// [/channel]

int main() {
    asio::io_context loop;
    channel numbers(loop);
    int sum = 0, max = 0;
    auto const send = [&] {
        for (int const i : {3, 8, 5})
            numbers.async_send(greenback::error_code(), i, greenback::use_portal);
        numbers.close();
    };
    greenback::spawn(loop, [&] { sum = sum_of_countdown(); }, greenback::rethrow);
    greenback::spawn(loop, [&] { max = largest(numbers); }, greenback::rethrow);
    greenback::spawn(loop, send, greenback::rethrow);
    loop.run();
    std::cout << sum << ' ' << max << '\n';
    return sum == 6 && max == 8 ? 0 : 1;
}
