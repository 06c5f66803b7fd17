// SPDX-License-Identifier: MIT
// 5. Awaiting from synchronous code: the one file that does the thing.
#pragma once

#include <greenback/detail/config.hpp>

#include <greenback/detail/operation/foreign.hpp>
#include <greenback/detail/portal/call_checks.hpp>
#include <greenback/detail/portal/portal_core.hpp>
#include <greenback/use_portal.hpp>

#include <concepts>
#include <source_location>
#include <type_traits>
#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// `asio::awaitable`: pushed on the task's own frames and pumped here, on the fiber.
template <class T, class Executor>
GREENBACK_SWITCH_PATH inline T await_now(asio::awaitable<T, Executor>&& x, std::source_location const& where) {
    portal_base* p = find_portal();
    if (!p || p->kind() != &kind_of_portal<Executor>) [[unlikely]]
        p = explain_no_portal(x, where);
    p->where_ = where;
    return static_cast<portal_core<Executor>&>(*p).await(x);
}

template <class T, class Executor> void await_now(asio::awaitable<T, Executor>&, std::source_location const&) {
    static_assert(!sizeof(T*), "an awaitable can be awaited only once: write await_(std::move(x))");
}

// What `co_await` answers about the task itself, without suspending.
inline asio::any_io_executor await_now(asio::this_coro::executor_t, std::source_location const& where) {
    return require_portal(where).executor();
}
inline asio::cancellation_state await_now(asio::this_coro::cancellation_state_t, std::source_location const& where) {
    return require_portal(where).state();
}
inline void await_now(asio::this_coro::reset_cancellation_state_0_t, std::source_location const& where) {
    any_portal& p = require_portal(where);
    p.state() = asio::cancellation_state(p.parent_slot());
}
template <class Filter>
void await_now(asio::this_coro::reset_cancellation_state_1_t<Filter> reset, std::source_location const& where) {
    any_portal& p = require_portal(where);
    p.state() = asio::cancellation_state(p.parent_slot(), std::move(reset.filter));
}
template <class In, class Out>
void await_now(asio::this_coro::reset_cancellation_state_2_t<In, Out> reset, std::source_location const& where) {
    any_portal& p = require_portal(where);
    p.state() = asio::cancellation_state(p.parent_slot(), std::move(reset.in_filter), std::move(reset.out_filter));
}
inline bool await_now(asio::this_coro::throw_if_cancelled_0_t, std::source_location const& where) {
    return require_portal(where).throws_if_cancelled();
}
template <std::same_as<asio::this_coro::throw_if_cancelled_1_t> Set> // not what converts to it: it is made of any bool
void await_now(Set set, std::source_location const& where) {
    require_portal(where).throws_if_cancelled() = set.value;
}

template <class X>
concept awaited_by_asio = requires(X&& x, std::source_location const& where) { await_now(std::forward<X>(x), where); };

/// An operation that waits to be told what to do with its result: `timer.async_wait(asio::deferred)`.
template <class X>
concept asynchronous_operation = std::invocable<X, use_this_portal>;

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE

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
/// @throws the exceptions of `co_await x` · `no_portal` even if `x` is ready · `executor_mismatch` ·
///     `abandoned` if the task is destroyed meanwhile. Thrown before it starts, `x` is destroyed unrun.
///
/// Cancellation: as `co_await`. One requested of the task reaches `x`; a task already cancelled throws first.
/// Thread safety: what `await_` returns on is a thread that runs the task's executor, not always the one it was called
/// on.
///     Thread-locals, `errno` and `this_thread::get_id()` may be stale in the calling function: see docs/pitfalls.md.
/// Cost: none beyond `co_await`'s if `x` is ready; two stack switches if it is not. No allocation beyond that of `x`.
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
        detail::any_portal& p = detail::require_portal(where);
        p.where_ = where;
        return std::forward<Awaitable>(x)(detail::use_this_portal{p});
    }
}

} // namespace greenback::inline GREENBACK_BACKEND_NAMESPACE
