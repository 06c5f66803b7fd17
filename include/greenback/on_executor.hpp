// SPDX-License-Identifier: MIT
// 10. Helpers: a function that must not run here, because it blocks or computes for long, on another executor.
#pragma once

#include <greenback/detail/config.hpp>

#include <greenback/await.hpp>
#include <greenback/detail/asio/executor_of.hpp>
#include <greenback/detail/asio/other_asio.hpp>
#include <greenback/detail/outside_call.hpp>
#include <greenback/detail/portal/call_checks.hpp>

#include <coroutine>
#include <memory>
#include <source_location>
#include <type_traits>
#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// Awaits an `outside_call` that is posted to an executor. When this is destroyed, the function has ended or will never
/// begin, by whatever way the caller's frame is left: so it may use that frame.
template <class Executor, class F> class executor_awaiter {
public:
    executor_awaiter(Executor ex, F&& f)
        : executor_(std::move(ex)), call_(std::make_shared<outside_call<F>>(std::forward<F>(f))) {}
    executor_awaiter(executor_awaiter const&) = delete;
    ~executor_awaiter() { call_->give_up(); }

    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> h) const {
        return outside_call<F>::start(call_, h, [ex = executor_](auto job) { asio::post(ex, std::move(job)); });
    }
    std::invoke_result_t<F> await_resume() const {
        if (!call_->was_called())
            throw system_error(error_code(asio::error::operation_aborted),
                               "greenback::on_executor: the executor has dropped the function");
        return call_->get();
    }

private:
    Executor executor_;
    std::shared_ptr<outside_call<F>> call_;
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE

namespace greenback::inline GREENBACK_BACKEND_NAMESPACE {

/// Runs `f()` on the executor `where_to`, and waits here for its result: a blocking call
/// or a long computation on a `thread_pool`, while the event loop goes on with other tasks.
///
/// `f` is not copied, and may use whatever the caller's frame holds: when this is left, by whatever way, `f` has ended
/// or will never begin. `f` runs outside of the portal: `has_portal()` is false in it, and `await_` throws `no_portal`.
///
/// @pre as for `await_`; in particular, the caller holds no lock that `f` wants.
/// @returns what `f` returns: references, too, and what can only be moved.
/// @throws what `f` throws, as it is · `operation_aborted` (`system_error`) if the executor drops `f` uncalled, as a
///     `thread_pool` that is stopped and destroyed does · what posting to the executor throws · `no_portal` ·
///     `abandoned`. If the task is destroyed while `f` is queued, `f` is never called; while it runs, the thread that
///     destroys the task waits for it.
///
/// Cancellation: can't stop `f`, which is waited for all the same, and its result returned. A task already cancelled
///     throws before `f` is posted.
/// Thread safety: `f` runs on a thread of `where_to`, and this returns on one that runs the task's executor.
/// Cost: two stack switches, a `post` there and one back; two allocations of some 200 bytes besides what those need.
/// Example: `auto const hash = greenback::on_executor(pool, [&] { return argon2(password); });`
template <class Executor, class F>
    requires(!detail::execution_context<Executor>)
std::invoke_result_t<F> on_executor(Executor where_to, F&& f,
                                    std::source_location where = std::source_location::current()) {
    if constexpr (detail::of_other_asio<Executor>) {
        static_assert(detail::never<Executor>, GREENBACK_OTHER_ASIO);
    } else if constexpr (!detail::is_executor<Executor>) {
        static_assert(detail::never<Executor>, "greenback::on_executor takes an executor or an execution context "
                                               "first: a thread_pool, pool.get_executor(), a strand");
    } else if constexpr (detail::is_awaitable<std::decay_t<std::invoke_result_t<F>>>) {
        static_assert(detail::never<F>, "greenback: the function returns an asio::awaitable, which nobody would await. "
                                        "on_executor takes a synchronous function; for a coroutine write "
                                        "await_(co_spawn(executor, f, asio::deferred))");
    } else {
        return await_(detail::executor_awaiter<Executor, F>(std::move(where_to), std::forward<F>(f)), where);
    }
}

/// The same on an execution context's executor.
template <class Context, class F>
    requires detail::execution_context<Context>
std::invoke_result_t<F> on_executor(Context& where_to, F&& f,
                                    std::source_location where = std::source_location::current()) {
    return on_executor(where_to.get_executor(), std::forward<F>(f), where);
}

} // namespace greenback::inline GREENBACK_BACKEND_NAMESPACE
