// SPDX-License-Identifier: MIT
// 10. Helpers: letting time pass.
#pragma once

#include <greenback/detail/config.hpp>

#include <greenback/await.hpp>
#include <greenback/detail/operation/time_limit.hpp>

#include <chrono>
#include <source_location>

#if defined(GREENBACK_USE_BOOST_ASIO)
#include <boost/asio/basic_waitable_timer.hpp>
#else
#include <asio/basic_waitable_timer.hpp>
#endif

namespace greenback::inline GREENBACK_BACKEND_NAMESPACE {

/// Lets other tasks run for `duration`: `std::this_thread::sleep_for` without blocking the thread.
///
/// Any `std::chrono::duration`, rounded up; 0 or less is one turn of the event loop.
///
/// @pre as for `await_`.
/// @throws `operation_aborted` (`system_error`) if the task is cancelled · `no_portal` · `abandoned`.
///
/// Cancellation: ends it.
/// Thread safety: returns on a thread that runs the task's executor.
/// Cost: a timer of Asio's and two stack switches; no allocation but what Asio recycles.
/// Example: `greenback::sleep_for(200ms);`
template <class Duration>
void sleep_for(Duration duration, std::source_location where = std::source_location::current()) {
    using clock = std::chrono::steady_clock;
    auto const limit = detail::time_limit_of(duration);
    asio::basic_waitable_timer<clock> timer(await_(asio::this_coro::executor, where));
    timer.expires_after(limit); // which ends at the end of time, where an addition would overflow
    await_([&](auto token) { return timer.async_wait(token); }, where);
}

/// The same until `time`, a time point of any clock that Asio's timers take: `steady_clock`, `system_clock`, and others
/// that have an `asio::wait_traits`.
///
/// @pre, @throws, cancellation, thread safety, cost: as `sleep_for`.
/// Example: `greenback::sleep_until(std::chrono::system_clock::now() + 1h);`
template <class Clock, class Duration>
void sleep_until(std::chrono::time_point<Clock, Duration> time,
                 std::source_location where = std::source_location::current()) {
    using time_point = typename Clock::time_point;
    using wide = std::chrono::duration<long double, typename time_point::period>;
    wide const since_epoch = time.time_since_epoch();
    asio::basic_waitable_timer<Clock> timer(await_(asio::this_coro::executor, where));
    if (since_epoch >= wide(time_point::max().time_since_epoch()))
        timer.expires_at(time_point::max());
    else if (!(since_epoch > wide(time_point::min().time_since_epoch()))) // nor a number at all
        timer.expires_at(time_point::min());
    else
        timer.expires_at(time_point(std::chrono::ceil<typename time_point::duration>(time.time_since_epoch())));
    await_([&](auto token) { return timer.async_wait(token); }, where);
}

} // namespace greenback::inline GREENBACK_BACKEND_NAMESPACE
