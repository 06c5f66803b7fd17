// SPDX-License-Identifier: MIT
// 7. Portals for coroutines themselves, so that a coroutine's own body may call synchronous code that awaits.
#pragma once

#include <greenback/detail/config.hpp>

#include <greenback/detail/portal/task_coroutines.hpp>
#include <greenback/portal.hpp>

namespace greenback::inline GREENBACK_BACKEND_NAMESPACE {

/// Give the current task a portal, until it ends: in the coroutine that awaits this, in its callers and in whatever
/// they await from now on, `has_portal()` is true. Write it once in each task whose coroutines call synchronous code
/// that awaits.
///
/// Where a portal is in force already, nothing happens: under `with_portal_run` or `with_portal_run_sync` it is theirs,
/// and ends with them.
///
/// @pre awaited in a task whose executor type is `Executor`.
/// @throws, from `co_await`, `std::bad_alloc` if there is no stack to be had; the task is then as it was.
///
/// Cancellation, executor, order of events: nothing changes; it does not suspend.
/// Thread safety: concerns the current task alone, which goes on on the threads that it would go on on without. Tasks
///     it spawns are tasks of their own.
/// Cost: a small allocation, a stack of `default_stack_size()` bytes for the rest of the task, and two stack switches
///     each time the task suspends.
/// Example: `asio::awaitable<void> session(tcp::socket s) { co_await greenback::ensure_portal(); legacy_main(s); }`
template <class Executor = asio::any_io_executor> asio::awaitable<void, Executor> ensure_portal() {
    return detail::ensure_portal_coroutine<Executor>(detail::ensures_portal());
}

/// Give a portal to a coroutine that has not been started. It lasts until that coroutine has ended, or is destroyed.
///
/// @pre `task` is valid and not started. It is consumed: await, or spawn, what is returned.
/// @returns the same coroutine.
/// @throws `std::bad_alloc`; for want of a stack the coroutine itself throws it, at its first step.
///
/// Cancellation, executor, order of events: nothing changes.
/// Thread safety: as `ensure_portal`.
/// Cost: a small allocation now; a stack of `default_stack_size()` bytes from the coroutine's start to its end, and two
///     stack switches each time it suspends.
/// Example: `asio::co_spawn(executor, greenback::bestow_portal(session(std::move(socket))), greenback::rethrow);`
template <class T, class Executor> asio::awaitable<T, Executor> bestow_portal(asio::awaitable<T, Executor> task) {
    detail::lead_to_portal(task);
    return task;
}

/// What `with_portal_run(f, args...)` returns: the `asio::awaitable` that `f` returns, called with `args`, both copied
/// and passed on as rvalues. Where that can't be, the text of the error says what to write.
template <class F, class... Args>
using coroutine_result_t = typename detail::checked_asynchronous_call<F, Args...>::type;

/// Call `f(args...)`, which returns an `asio::awaitable`, and await it with a portal in force; afterwards
/// `has_portal()` is what it was before. `f` and `args` are decay-copied now and used when the result is awaited.
///
/// @returns an awaitable of what `f`'s awaitable returns.
/// @throws, from `co_await`, what `f` throws · `std::bad_alloc` if there is no stack to be had.
///
/// Cancellation, executor, order of events: nothing changes.
/// Thread safety: as `ensure_portal`. The caller goes on on the thread on which `f`'s coroutine has ended.
/// Cost: as `bestow_portal`, and one coroutine frame. With a portal in force already, no stack and no switches.
/// Example: `co_await greenback::with_portal_run(session, std::move(socket));`
template <class F, class... Args> auto with_portal_run(F&& f, Args&&... args) -> coroutine_result_t<F, Args...> {
    return bestow_portal(detail::call_asynchronously<std::decay_t<F>, std::decay_t<Args>...>(
        std::forward<F>(f), std::forward<Args>(args)...));
}

/// As `with_portal_run`, and every task spawned meanwhile on the task's executor gets a portal of its own, for its
/// whole life; so do theirs: `co_spawn(co_await this_coro::executor, ...)`, and the operands of `||` and `&&`.
///
/// For the duration of `f`, `this_coro::executor` is another one in this task; it forwards to the task's own. The tasks
/// spawned on it keep it for their lives.
///
/// @pre the task's executor type is `asio::any_io_executor`.
/// @returns an awaitable of what `f`'s awaitable returns.
/// @throws, from `co_await`, as `with_portal_run`.
///
/// Cancellation, order of events: nothing changes.
/// Thread safety: as `with_portal_run`, for each task of the tree.
/// Cost: as `with_portal_run`, for each task of the tree; and each operation whose handler runs on the task's executor
///     passes through one more.
/// Example: `co_await greenback::with_portal_run_tree(serve_all, std::move(acceptor));`
template <class F, class... Args> auto with_portal_run_tree(F&& f, Args&&... args) -> coroutine_result_t<F, Args...> {
    static_assert(
        std::is_same_v<typename coroutine_result_t<F, Args...>::executor_type, asio::any_io_executor>,
        "with_portal_run_tree gives the task another executor for a while, so the task's executor type must be "
        "able to hold it: asio::any_io_executor, the default of asio::awaitable");
    return bestow_portal(
        detail::call_in_tree<std::decay_t<F>, std::decay_t<Args>...>(std::forward<F>(f), std::forward<Args>(args)...));
}

} // namespace greenback::inline GREENBACK_BACKEND_NAMESPACE
