// SPDX-License-Identifier: MIT
// 5. Awaiting from synchronous code: the one file that does the thing.
#pragma once

#include <greenback/detail/config.hpp>

#include <greenback/detail/asio/other_asio.hpp>
#include <greenback/detail/operation/await_now.hpp>
#include <greenback/detail/operation/foreign.hpp>

#include <concepts>
#include <source_location>
#include <type_traits>
#include <utility>

namespace greenback::inline GREENBACK_BACKEND_NAMESPACE {

/// Await `x` from synchronous code: the meaning of `co_await x`, written in the task that runs the code.
///
/// `x` may be whatever `co_await` takes in such a task: an `asio::awaitable`, an asynchronous operation
/// (`timer.async_wait(asio::deferred)`), a `this_coro` query or setting; and any C++20 awaiter, or type with
/// `operator co_await`. Only synchronous code stands between the portal and this call; it needs to know nothing of
/// either.
///
/// @pre a portal of this task is in force (`has_portal()`), and no lock is held that another task may want meanwhile.
/// @returns the result of `co_await x`; for an operation `void`, its value, or a tuple of its values.
/// @throws the exceptions of `co_await x` · `no_portal` even if `x` is ready · `executor_mismatch` · `await_forbidden` ·
///     `abandoned` if the task is destroyed meanwhile. Thrown before it starts, `x` is destroyed unrun.
///
/// Cancellation: as `co_await`. One requested of the task reaches `x`; a task already cancelled throws first.
/// Thread safety: returns where `co_await` would go on: on a thread that runs the task's executor (or the one that `x`
///     is bound to), not always the one it was called on. Thread-locals, `errno` and `this_thread::get_id()` may be
///     stale in the calling function: see docs/pitfalls.md.
/// Cost: none beyond `co_await`'s if `x` is ready; two stack switches if it is not. No allocation beyond that of `x`;
///     for an awaiter that is not Asio's, and not ready, one small coroutine frame and a `post`.
/// Example: `std::size_t n = greenback::await_(socket.async_read_some(buffer, asio::deferred));`
template <class Awaitable>
GREENBACK_SWITCH_PATH inline decltype(auto) await_(Awaitable&& x,
                                                   std::source_location where = std::source_location::current()) {
    if constexpr (detail::awaited_by_asio<Awaitable>) {
        return detail::await_now(std::forward<Awaitable>(x), where);
    } else if constexpr (detail::foreign_awaitable<Awaitable>) {
        return detail::await_foreign(std::forward<Awaitable>(x), where);
    } else if constexpr (detail::of_other_asio<Awaitable>) {
        static_assert(detail::never<Awaitable>, GREENBACK_OTHER_ASIO);
    } else {
        static_assert(detail::asynchronous_operation<Awaitable>,
                      "greenback::await_ takes what co_await takes in an Asio task: an awaitable, an asynchronous "
                      "operation such as timer.async_wait(asio::deferred), this_coro::..., or a C++20 awaiter");
        return detail::await_operation(std::forward<Awaitable>(x), where);
    }
}

} // namespace greenback::inline GREENBACK_BACKEND_NAMESPACE
