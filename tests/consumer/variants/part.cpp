// SPDX-License-Identifier: MIT
#include "part.hpp"

#include <chrono>

namespace PART {

asio::awaitable<int> in_portal(function f) {
    co_return co_await greenback::with_portal_run_sync(std::move(f), co_await asio::this_coro::executor);
}

asio::awaitable<int> in_portal_of_task(function f) {
    co_await greenback::ensure_portal();
    co_return f(co_await asio::this_coro::executor);
}

int wait(asio::any_io_executor executor) {
    if (!greenback::has_portal())
        throw std::logic_error("no portal");
    asio::steady_timer timer(executor, std::chrono::milliseconds(1));
    timer.async_wait(greenback::use_portal);
    timer.expires_after(std::chrono::milliseconds(1));
    greenback::await_(timer.async_wait(asio::use_awaitable));
    return 2;
}

int fail(asio::any_io_executor executor) {
    try {
        wait(executor);
        throw problem("thrown after an await");
    } catch (problem const&) {
        wait(executor); // while it is being handled
        throw;
    }
}

int wait_for_ever(asio::any_io_executor executor, int& unwound) {
    struct guard {
        int& count;
        ~guard() { ++count; }
    } const counts{unwound};
    asio::steady_timer timer(executor, asio::steady_timer::time_point::max());
    try {
        timer.async_wait(greenback::use_portal);
    } catch (greenback::abandoned const&) {
        ++unwound;
        throw;
    }
    return 0;
}

int move_about(asio::any_io_executor executor, int times) {
    for (int i = 0; i != times; ++i) {
        greenback::await_(asio::post(executor, asio::use_awaitable));
        asio::post(executor, greenback::use_portal);
    }
    return times;
}

} // namespace PART
