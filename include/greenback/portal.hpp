// SPDX-License-Identifier: MIT
// 4. A portal: run a synchronous function in a task so that it can await.
#pragma once

#include <greenback/detail/config.hpp>

#include <greenback/detail/fiber/kept_fiber.hpp>
#include <greenback/detail/portal/find_portal.hpp>
#include <greenback/detail/portal/function_coroutine.hpp>

#include <concepts>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace greenback::inline GREENBACK_BACKEND_NAMESPACE {

/// May `await_` be called right here, right now? False outside of a portal, in code that others run inline on its stack
/// as far as that can be told, and while the task is being destroyed (so a destructor can ask first).
///
/// Thread safety: answers for the calling code.
/// Cost: a few loads.
/// Example: `if (greenback::has_portal()) greenback::await_(stream.async_shutdown(asio::deferred));`
inline bool has_portal() noexcept {
    detail::portal_base* const p = detail::find_portal();
    if (!p)
        return false;
    p->ensure_prepared();
    return p->backend() == GREENBACK_BACKEND && p->serving();
}

/// What `with_portal_run_sync(f, args...)` is an awaitable of: the decayed result of the synchronous function `f`,
/// called with `args`, both copied and passed on as rvalues. Where that can't be, the text of the error says what to
/// write.
template <class F, class... Args> using call_result_t = typename detail::checked_synchronous_call<F, Args...>::type;

/// Run the synchronous function `f(args...)` in the calling task; it, and whatever it calls, may `await_`.
///
/// Where this very task already has a portal in force, `f` is simply called.
///
/// `f` and `args` are decay-copied now, as by `std::thread` (`std::ref` for references), and called when the result is
/// awaited. The result type is the decayed result of the call; it need not be default-constructible.
///
/// If the task is destroyed while `f` waits, its `await_` throws `abandoned`, and the stack is unwound before this
/// coroutine is gone.
///
/// @pre awaited in a task whose executor type is `Executor`.
/// @returns an awaitable of the function's result.
/// @throws, from `co_await`, what `f` throws, as it is · `std::bad_alloc` if there is no stack to be had.
///
/// Cancellation: reaches what `f` awaits, as in a coroutine in its place. Nothing is checked before `f` runs.
/// Thread safety: `f` may go on on any thread that runs the task's executor, never on two at once. The caller goes on
///     on the thread on which `f` has returned.
/// Cost: one coroutine frame, from memory that Asio recycles, and two stack switches; the stack, of
///     `default_stack_size()` bytes, comes from the thread's cache when `f` starts. Where a portal is in force already,
///     the frame alone.
/// Example: `Document d = co_await greenback::with_portal_run_sync(parse_document, std::move(socket));`
template <class Executor = asio::any_io_executor, class F, class... Args>
    requires(!std::same_as<std::decay_t<F>, std::allocator_arg_t>)
auto with_portal_run_sync(F&& f, Args&&... args) -> asio::awaitable<call_result_t<F, Args...>, Executor> {
    return detail::run_on_portal<call_result_t<F, Args...>, Executor>(detail::cached_fiber_source(), std::forward<F>(f),
                                                                      std::forward<Args>(args)...);
}

/// The same on a stack from `alloc`, a stack allocator in the sense of Boost.Context. The stack is taken when the
/// result is awaited and given back when `f` has returned. Where a portal is in force already, its stack is used
/// instead.
///
/// @throws, from `co_await`, what `f` throws, as it is · what `alloc` throws if it has no stack.
///
/// Cancellation: as above.
/// Thread safety: as above. `alloc` is copied, and the copy used by one thread at a time, not always the same one.
/// Cost: as above, but for an `allocate()`, a `deallocate()` and two uncontended locks in the place of the cache.
/// Example: `co_await with_portal_run_sync(std::allocator_arg, greenback::pooled_stack(8 << 20), compile, text);`
template <class Executor = asio::any_io_executor, class StackAllocator, class F, class... Args>
auto with_portal_run_sync(std::allocator_arg_t, StackAllocator&& alloc, F&& f, Args&&... args)
    -> asio::awaitable<call_result_t<F, Args...>, Executor> {
    return detail::run_on_portal<call_result_t<F, Args...>, Executor>(
        detail::allocated_fiber_source<std::decay_t<StackAllocator>>(std::forward<StackAllocator>(alloc)),
        std::forward<F>(f), std::forward<Args>(args)...);
}

/// A portal to be used again and again: it owns one stack, from its first run to its end.
///
/// For a task that calls into synchronous code many times, or wants that code on a stack of its own choosing.
/// Movable; one that was moved from is as one that has not run yet, on the library's own stacks. May be destroyed while
/// its function waits; the stack then lives until the function has returned.
///
/// Thread safety: a portal and its runs may be used by one thread at a time, as one task does.
/// Cost: small allocations when it is made, none later; its stack stays taken between two runs.
/// Example: `greenback::portal p;  for (auto& row : rows) co_await p.run(store, row);`
template <class Executor = asio::any_io_executor> class basic_portal {
public:
    /// On a stack of the default size from the library's pool.
    basic_portal() : fiber_(new detail::kept_fiber()) {}

    /// On a stack from `alloc`, a stack allocator in the sense of Boost.Context.
    template <class StackAllocator>
    basic_portal(std::allocator_arg_t, StackAllocator&& alloc)
        : fiber_(new detail::kept_fiber(
              detail::allocated_fiber_source<std::decay_t<StackAllocator>>(std::forward<StackAllocator>(alloc)))) {}

    /// Not copyable: two portals would share one stack, and its count is of one task at a time.
    basic_portal(basic_portal&&) noexcept = default;
    basic_portal& operator=(basic_portal&&) noexcept = default;

    /// Run `f(args...)` on this portal's stack; otherwise as `with_portal_run_sync`.
    ///
    /// @throws, from `co_await`, besides, `portal_busy` if the portal is running a function at that moment.
    ///
    /// Cost: one coroutine frame, from memory that Asio recycles, and two stack switches. The first run takes the
    ///     stack.
    template <class F, class... Args>
    auto run(F&& f, Args&&... args) -> asio::awaitable<call_result_t<F, Args...>, Executor> {
        return detail::run_on_portal<call_result_t<F, Args...>, Executor>(
            detail::kept_fiber_source(fiber_.for_a_run()), std::forward<F>(f), std::forward<Args>(args)...);
    }

private:
    detail::kept_fiber_owner fiber_;
};

using portal = basic_portal<>;

} // namespace greenback::inline GREENBACK_BACKEND_NAMESPACE
