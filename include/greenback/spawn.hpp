// SPDX-License-Identifier: MIT
// 8. Starting without a coroutine: a task that is a synchronous function, and what becomes of its exception.
#pragma once

#include <greenback/detail/config.hpp>

#include <greenback/detail/asio/executor_of.hpp>
#include <greenback/portal.hpp>

#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace greenback {

/// What `rethrow` is.
struct rethrow_t {
    template <class... Results> void operator()(std::exception_ptr error, Results&&...) const {
        if (error)
            std::rethrow_exception(std::move(error));
    }
};

/// A completion handler for `spawn` and `co_spawn`: a task's exception leaves `run()` of the event loop, and with it
/// the program if nobody catches it. What the task returns is ignored.
///
/// For every task that nobody waits for. With `asio::detached` an exception vanishes, also one that says that a portal
/// has been forgotten.
///
/// @throws, from the function that runs the handler (`io_context::run()`), the task's exception, as it is. Where nobody
///     can catch it, as on the threads of a `thread_pool`, that is `std::terminate`.
///
/// Thread safety: stateless.
/// Cost: none beyond that of `asio::detached`.
/// Example: `asio::co_spawn(loop, session(std::move(socket)), greenback::rethrow);`
inline constexpr rethrow_t rethrow{};

} // namespace greenback

namespace greenback::inline GREENBACK_BACKEND_NAMESPACE {

/// Start a task that is the synchronous function `f`, which may `await_`, as may whatever it calls:
/// `co_spawn(where, with_portal_run_sync(f), token)`, for code that has no coroutine at all.
///
/// `where` is an executor or an execution context; `f` takes no arguments (write a lambda). Whatever the type of
/// `where`, the task's executor is an `asio::any_io_executor` that holds it, as that of every plain
/// `asio::awaitable<T>` is: so `await_` takes those.
///
/// @returns what `token` makes of the completion signature `void(std::exception_ptr)`, or
///     `void(std::exception_ptr, R)`, where `R` is the decayed result of `f()`. A task that has failed has no result,
///     so `R()` is passed then, and an `R` without default constructor is passed as `std::optional<R>`.
/// @throws nothing itself. The exception of `f`, as it is, or `std::bad_alloc` for want of a stack, goes to `token`.
///
/// Cancellation: as `co_spawn`: by the token's cancellation slot. It reaches what `f` awaits.
/// Thread safety: as `co_spawn`; `f` runs, and goes on after each `await_`, on the threads of `where`, never on two at
///     once.
/// Cost: that of `co_spawn` and of `with_portal_run_sync`.
/// Example: `greenback::spawn(loop, [&] { run_script("start.lua"); }, greenback::rethrow);`
template <class ExecutorOrContext, class F, class CompletionToken>
auto spawn(ExecutorOrContext&& where, F f, CompletionToken&& token) {
    using place = std::remove_cvref_t<ExecutorOrContext>;
    using result = call_result_t<F>;
    if constexpr (detail::of_other_asio<place>) {
        static_assert(detail::never<place>, GREENBACK_OTHER_ASIO);
    } else if constexpr (!detail::is_executor<place> && !detail::execution_context<place>) {
        static_assert(detail::never<place>, "greenback::spawn takes an executor or an execution context first: an "
                                            "io_context, a thread_pool, socket.get_executor()");
    } else if constexpr (!std::is_convertible_v<decltype(detail::executor_of(where)), asio::any_io_executor>) {
        static_assert(detail::never<place>, "greenback::spawn takes an executor that asio::any_io_executor can hold");
    } else if constexpr (std::is_void_v<result> || std::is_default_constructible_v<result>) {
        return asio::co_spawn(detail::executor_of(where), with_portal_run_sync(std::move(f)),
                              std::forward<CompletionToken>(token));
    } else {
        auto call = [f = std::move(f)]() mutable { return std::optional<result>(std::move(f)()); };
        return asio::co_spawn(detail::executor_of(where), with_portal_run_sync(std::move(call)),
                              std::forward<CompletionToken>(token));
    }
}

} // namespace greenback::inline GREENBACK_BACKEND_NAMESPACE
