// SPDX-License-Identifier: MIT
// What is asked of a function that is to run in a portal, and the texts for a user whose function can't.
#pragma once

#include <greenback/detail/asio/other_asio.hpp>

#include <concepts>
#include <memory>
#include <type_traits>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

template <class A> inline constexpr bool is_awaitable = false;
template <class T, class Executor> inline constexpr bool is_awaitable<asio::awaitable<T, Executor>> = true;

/// `f` and `args` are copied, and the copies are passed on as rvalues.
template <class F, class... Args>
concept callable_with_copies = std::invocable<std::decay_t<F>, std::decay_t<Args>...>;
template <class F, class... Args>
concept callable_with_lvalues = std::invocable<std::decay_t<F>&, std::decay_t<Args>&...>;

/// How `f(args...)` can be called. The second question is asked only if the answer to the first is no: to ask it is to
/// look into a generic lambda's body, which need not compile for lvalues.
enum class how_callable { with_copies, with_lvalues, not_at_all };
template <class F, class... Args> consteval how_callable find_how_callable() {
    if constexpr (callable_with_copies<F, Args...>)
        return how_callable::with_copies;
    else if constexpr (callable_with_lvalues<F, Args...>)
        return how_callable::with_lvalues;
    else
        return how_callable::not_at_all;
}

/// The type of such a call; where there is none, one that does not lead to a second error.
template <class F, class... Args> struct call_type {
    using type = void;
};
template <class F, class... Args>
    requires callable_with_copies<F, Args...>
struct call_type<F, Args...> : std::invoke_result<std::decay_t<F>, std::decay_t<Args>...> {};
template <class F, class... Args>
    requires(!callable_with_copies<F, Args...> && callable_with_lvalues<F, Args...>)
struct call_type<F, Args...> : std::invoke_result<std::decay_t<F>&, std::decay_t<Args>&...> {};

/// Part of the functions' return types, so that these are the first errors that a compiler finds.
template <class F, class... Args> struct checked_call {
    static_assert(
        (std::is_constructible_v<std::decay_t<Args>, Args> && ... && std::is_constructible_v<std::decay_t<F>, F>),
        "greenback: the function and its arguments are copied, and one of them can't be: write std::move(x), or "
        "std::ref(x) to pass a reference");
    static_assert(
        find_how_callable<F, Args...>() != how_callable::with_lvalues,
        "greenback: the function takes an lvalue reference, and would be passed a copy: write std::ref(x) to pass "
        "a reference to x, which must live until the function has returned");
    static_assert(
        find_how_callable<F, Args...>() != how_callable::not_at_all,
        "greenback: the function can't be called with these arguments. They are copied and passed on as rvalues, "
        "as by std::thread: write std::ref(x) for a parameter that is an lvalue reference");
    static_assert(!of_other_asio<typename call_type<F, Args...>::type>, GREENBACK_OTHER_ASIO);
    using type = typename call_type<F, Args...>::type;
};
/// The overload with a stack allocator is meant.
template <class... Args> struct checked_call<std::allocator_arg_t, Args...> {
    using type = void;
};
template <class... Args> struct checked_call<std::allocator_arg_t const&, Args...> {
    using type = void;
};

template <class F, class... Args> struct checked_synchronous_call {
    using type = std::decay_t<typename checked_call<F, Args...>::type>;
    static_assert(
        !is_awaitable<type>,
        "greenback: the function returns an asio::awaitable, which nobody would await. with_portal_run_sync, "
        "portal::run and spawn take a synchronous function; for a coroutine write with_portal_run(f, args...), "
        "and in the place of spawn co_spawn(executor, with_portal_run(f, args...), token)");
};

template <class F, class... Args> struct checked_asynchronous_call {
    using type = typename checked_call<F, Args...>::type;
    static_assert(
        is_awaitable<type>,
        "greenback: with_portal_run and with_portal_run_tree take a function that returns an asio::awaitable; for "
        "a synchronous function write with_portal_run_sync");
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
