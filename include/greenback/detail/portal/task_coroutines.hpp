// SPDX-License-Identifier: MIT
// The coroutines behind `ensure_portal`, `with_portal_run` and `with_portal_run_tree`.
#pragma once

#include <greenback/detail/portal/frame_holder.hpp>
#include <greenback/detail/portal/task_trampoline.hpp>
#include <greenback/detail/portal/tree_executor.hpp>

#include <coroutine>
#include <functional>
#include <type_traits>
#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// Chooses `ensure_portal_promise` for a coroutine that returns an `awaitable`.
struct ensures_portal {};

/// The coroutine of `ensure_portal`: it gives a portal to the frame that awaits it, and is gone.
template <class Executor> class ensure_portal_promise : public frame_holder<void, Executor> {
public:
    explicit ensure_portal_promise(ensures_portal) noexcept {}
    asio::awaitable<void, Executor> get_return_object() noexcept {
        return this->awaitable_for(std::coroutine_handle<ensure_portal_promise>::from_promise(*this));
    }
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE

template <class Executor>
struct std::coroutine_traits<GREENBACK_ASIO_ROOT::awaitable<void, Executor>, greenback::detail::ensures_portal> {
    using promise_type = greenback::detail::ensure_portal_promise<Executor>;
};

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

template <class Executor> asio::awaitable<void, Executor> ensure_portal_coroutine(ensures_portal) {
    using trampoline = task_trampoline<Executor>;
    ensure_portal_promise<Executor>& promise = co_await promise_of_this<ensure_portal_promise<Executor>>();
    frame_base<Executor>& self = promise.asio_frame();
    promise.asio_frame().return_void();
    thread_state& here = this_thread();
    if (!portal_core<Executor>::find_runner(here, self)) {
        frame_base<Executor>* const caller = frame_access<Executor>::caller(self);
        // Awaited by the entry frame itself, it would serve nobody: nothing else of this task will run.
        if (caller != frame_access<Executor>::attached_thread(self)->entry_point()) {
            fiber& f = borrow_fiber(here);
            try {
                trampoline::lead(*caller, trampoline::extent::task, &f);
            } catch (...) {
                return_fiber(here, f);
                throw;
            }
        }
    }
}

/// Give `task`, which has not been started, a portal for as long as it runs.
template <class T, class Executor> void lead_to_portal(asio::awaitable<T, Executor>& task) {
    using trampoline = task_trampoline<Executor>;
    trampoline::lead(*private_access::frame(task), trampoline::extent::call, nullptr);
}

/// `f(args...)`, called when it is awaited.
template <class F, class... Args> std::invoke_result_t<F, Args...> call_asynchronously(F f, Args... args) {
    co_return co_await std::invoke(std::move(f), std::move(args)...);
}

/// The same, with a tree's executor meanwhile.
template <class F, class... Args> std::invoke_result_t<F, Args...> call_in_tree(F f, Args... args) {
    tree_scope<typename std::invoke_result_t<F, Args...>::executor_type> scope;
    co_return co_await std::invoke(std::move(f), std::move(args)...);
}

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
