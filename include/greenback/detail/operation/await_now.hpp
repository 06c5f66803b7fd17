// SPDX-License-Identifier: MIT
// `await_`, for each kind of thing that Asio's own coroutines take.
#pragma once

#include <greenback/detail/config.hpp>
#include <greenback/detail/operation/operation.hpp>
#include <greenback/detail/portal/find_portal.hpp>
#include <greenback/detail/portal/portal_core.hpp>

#include <concepts>
#include <source_location>
#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// `asio::awaitable`: pushed on the task's own frames and pumped here, on the fiber.
template <class T, class Executor>
GREENBACK_SWITCH_PATH inline T await_now(asio::awaitable<T, Executor>&& x, std::source_location where) {
    portal_base* p = find_portal();
    if (!p || p->kind() != &kind_of_portal<Executor>) [[unlikely]]
        p = explain_no_portal(x, where);
    p->site = where;
    return static_cast<portal_core<Executor>&>(*p).await(x);
}

template <class T, class Executor> void await_now(asio::awaitable<T, Executor>&, std::source_location const&) {
    static_assert(!sizeof(T*), "an awaitable can be awaited only once: write await_(std::move(x))");
}

// What `co_await` answers about the task itself, without suspending.
inline asio::any_io_executor await_now(asio::this_coro::executor_t, std::source_location where) {
    return require_portal(where).executor();
}
inline asio::cancellation_state await_now(asio::this_coro::cancellation_state_t, std::source_location where) {
    return require_portal(where).cancellation();
}
inline void await_now(asio::this_coro::reset_cancellation_state_0_t, std::source_location where) {
    any_portal& p = require_portal(where);
    p.cancellation() = asio::cancellation_state(p.parent_slot());
}
template <class Filter>
void await_now(asio::this_coro::reset_cancellation_state_1_t<Filter> reset, std::source_location where) {
    any_portal& p = require_portal(where);
    p.cancellation() = asio::cancellation_state(p.parent_slot(), std::move(reset.filter));
}
template <class In, class Out>
void await_now(asio::this_coro::reset_cancellation_state_2_t<In, Out> reset, std::source_location where) {
    any_portal& p = require_portal(where);
    p.cancellation() =
        asio::cancellation_state(p.parent_slot(), std::move(reset.in_filter), std::move(reset.out_filter));
}
inline bool await_now(asio::this_coro::throw_if_cancelled_0_t, std::source_location where) {
    return require_portal(where).throws_if_cancelled();
}
template <std::same_as<asio::this_coro::throw_if_cancelled_1_t> Set> // not what converts to it: it is made of any bool
void await_now(Set set, std::source_location where) {
    require_portal(where).throws_if_cancelled() = set.value;
}

template <class X>
concept awaited_by_asio = requires(X&& x, std::source_location where) { await_now(std::forward<X>(x), where); };

/// An operation that waits to be told what to do with its result: `timer.async_wait(asio::deferred)`.
template <class X>
concept asynchronous_operation = std::invocable<X, use_this_portal>;

template <asynchronous_operation X>
GREENBACK_SWITCH_PATH inline decltype(auto) await_operation(X&& x, std::source_location where) {
    any_portal& p = require_portal(where);
    p.site = where;
    return std::forward<X>(x)(use_this_portal{p});
}

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
