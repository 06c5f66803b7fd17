// SPDX-License-Identifier: MIT
// 10. Helpers: waiting no longer than a while.
#pragma once

#include <greenback/detail/config.hpp>

#include <greenback/await.hpp>
#include <greenback/detail/asio/other_asio.hpp>
#include <greenback/detail/operation/timed_task.hpp>
#include <greenback/portal.hpp>

#include <exception>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// The same for a coroutine.
template <class T, class Executor>
asio::awaitable<T, Executor> await_timed(time_limit limit, asio::awaitable<T, Executor> task) {
    Executor const executor = co_await asio::this_coro::executor;
    auto const start = timed_task_start(executor, limit, task);
    asio::use_awaitable_t<Executor> token;
    if constexpr (std::is_void_v<T>)
        co_await asio::async_initiate<asio::use_awaitable_t<Executor>, void(std::exception_ptr)>(start, token);
    else
        co_return *co_await asio::async_initiate<asio::use_awaitable_t<Executor>,
                                                 void(std::exception_ptr, std::optional<T>)>(start, token);
}

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE

namespace greenback::inline GREENBACK_BACKEND_NAMESPACE {

/// Awaits `task`, as a child task, for no longer than `timeout`. When the time is over `task` gets a terminal
/// cancellation, and its end is waited for.
///
/// `timeout` is any `std::chrono::duration`: rounded up, of any size; with 0 or less only what needs not wait succeeds.
/// The child has no portal; for a synchronous function take `with_timeout`.
///
/// @pre as for `await_`.
/// @returns the result of `task`, if it has ended before it was cancelled.
/// @throws `system_error` with `asio::error::timed_out` if it was cancelled, and ended with `operation_aborted`, or
///     with a result all the same · what else `task` throws, as it is, then too · `no_portal` ·
///     `executor_mismatch` · `abandoned`.
///
/// Cancellation: one requested of the task is passed on to `task` as what it is. One that is terminal makes
///     `operation_aborted` of what would be `timed_out`.
/// Thread safety: `task` runs where a child of `await_all` does; returns on a thread that runs the task's executor.
/// Cost: that of `co_spawn`, two `post`s and a timer; two stack switches; three allocations, two of them for the
///     child's strand. About half of `await_(task || timer.async_wait(asio::use_awaitable))`.
/// Example: `std::string line = greenback::await_for(5s, read_line(socket));`
template <class D, class T, class Executor>
T await_for(D timeout, asio::awaitable<T, Executor> task,
            std::source_location where = std::source_location::current()) {
    Executor const executor = await_(detail::executor_of_task<Executor>(), where);
    auto const start = detail::timed_task_start(executor, detail::time_limit_of(timeout), task);
    if constexpr (std::is_void_v<T>) {
        await_(
            [&](auto token) { return asio::async_initiate<decltype(token), void(std::exception_ptr)>(start, token); },
            where);
    } else {
        std::optional<T> result = await_(
            [&](auto token) {
                return asio::async_initiate<decltype(token), void(std::exception_ptr, std::optional<T>)>(start, token);
            },
            where);
        return *std::move(result); // NOLINT(bugprone-unchecked-optional-access): an exception has been thrown instead
    }
}

/// What can't be passed.
template <class D, class X> void await_for(D, X&&, std::source_location = std::source_location::current()) {
    static_assert(detail::never<X>,
                  "greenback::await_for takes an asio::awaitable. For a synchronous function write "
                  "await_(with_timeout(timeout, f)); for an asynchronous operation pass asio::use_awaitable to it");
}

/// An awaitable that calls the synchronous function `f`, which may await, in a task and a portal of its own, for no
/// longer than `timeout`. When the time is over, what `f` awaits throws `operation_aborted`, and the end of `f` is
/// waited for.
///
/// The task that awaits this needs no portal. `f` is moved, and takes no arguments (write a lambda).
///
/// @returns an awaitable of the function's result, decayed.
/// @throws, from `co_await`, as `await_for`.
///
/// Cancellation: as `await_for`. Code in `f` that goes on after `operation_aborted` delays the end.
/// Thread safety: as `await_for`.
/// Cost: as `await_for`, one coroutine frame, and that of `with_portal_run_sync`.
/// Example: `Reply r = co_await greenback::with_timeout(2s, [&] { return ask(connection); });`
template <class D, class F> auto with_timeout(D timeout, F f) -> asio::awaitable<call_result_t<F>> {
    return detail::await_timed(detail::time_limit_of(timeout), with_portal_run_sync(std::move(f)));
}

} // namespace greenback::inline GREENBACK_BACKEND_NAMESPACE
