// SPDX-License-Identifier: MIT
//
// Things to await.
#pragma once

#include "support/asio.hpp"

#include <chrono>
#include <type_traits>
#include <utility>

namespace test {

/// Gives others a turn: suspends, and goes on from the event loop.
template <class Executor = asio::any_io_executor> asio::awaitable<void, Executor> yield_now() {
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable_t<Executor>());
}

/// Suspends if it is asked to.
inline asio::awaitable<void> yield_if(bool suspend) {
    if (suspend)
        co_await yield_now();
}

template <class Executor = asio::any_io_executor> asio::awaitable<void, Executor> sleep_ms(int milliseconds = 1) {
    asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, Executor> timer(
        co_await asio::this_coro::executor, std::chrono::milliseconds(milliseconds));
    co_await timer.async_wait(asio::use_awaitable_t<Executor>());
}

/// Suspends until it is cancelled or destroyed.
inline asio::awaitable<void> forever() {
    asio::steady_timer timer(co_await asio::this_coro::executor, asio::steady_timer::time_point::max());
    co_await timer.async_wait(asio::use_awaitable);
}

template <class T> asio::awaitable<std::decay_t<T>> value_of(T value, bool suspend) {
    if (suspend)
        co_await yield_now();
    co_return std::move(value);
}

template <class E> asio::awaitable<void> throwing(E e, bool suspend) {
    if (suspend)
        co_await yield_now();
    throw std::move(e);
}

/// Tasks wait for it, somebody opens it.
class gate {
public:
    explicit gate(asio::io_context& context) : timer_(context, asio::steady_timer::time_point::max()) {}
    asio::awaitable<void> wait() {
        error_code ec;
        if (!open_)
            co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ec));
    }
    bool is_open() const { return open_; }
    void open() {
        open_ = true;
        timer_.cancel();
    }

private:
    asio::steady_timer timer_;
    bool open_ = false;
};

} // namespace test
