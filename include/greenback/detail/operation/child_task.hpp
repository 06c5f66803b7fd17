// SPDX-License-Identifier: MIT
// A task that a helper starts and waits for: where it runs, and how it is cancelled.
#pragma once

#include <greenback/detail/asio/backend.hpp>

#if defined(GREENBACK_USE_BOOST_ASIO)
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/require.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/thread_pool.hpp>
#else
#include <asio/bind_cancellation_slot.hpp>
#include <asio/dispatch.hpp>
#include <asio/execution/outstanding_work.hpp>
#include <asio/require.hpp>
#include <asio/strand.hpp>
#include <asio/system_executor.hpp>
#include <asio/thread_pool.hpp>
#endif

#include <exception>
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// What this task's executor is, in the task's own type: awaited, it checks besides that there is a portal, that the
/// task is not cancelled, and that its executor type is `Executor`.
template <class Executor> asio::awaitable<Executor, Executor> executor_of_task() {
    co_return co_await asio::this_coro::executor;
}

/// A strand on `executor`, if `executor` holds one of `Bare`; else `executor`.
template <class... Bare, class Executor> Executor strand_on_bare(Executor const& executor) {
    Executor result = executor;
    auto const holds = [&]<class E>(std::type_identity<E>) {
        // Asio 1.22.1's target() doesn't compare the type: it would take a strand, or a pool, for a bare io_context.
        if (executor.target_type() != typeid(E))
            return false;
        result = Executor(asio::make_strand(*executor.template target<E>()));
        return true;
    };
    static_cast<void>((holds(std::type_identity<Bare>()) || ...));
    return result;
}

/// The type of an `Executor` that counts as work for as long as it lives, as a work guard's does.
template <class Executor>
using counting_as_work =
    std::decay_t<decltype(asio::require(std::declval<Executor>(), asio::execution::outstanding_work.tracked))>;

/// Where a child of a task on `executor` runs. A cancellation signal must not be emitted while the task that it is for
/// runs; but a child on a bare context may run on any thread at any time. So it gets a strand of its own there, in
/// which it is cancelled. Another executor (a strand, a tree's) stays: the children of such a task may rely on it, and
/// an executor type that can't hold a strand leaves no choice.
template <class Executor> Executor executor_for_child(Executor const& executor) {
    using loop = asio::io_context::executor_type;
    using pool = asio::thread_pool::executor_type;
    if constexpr (std::is_constructible_v<Executor, asio::strand<pool>> && requires { executor.target_type(); })
        return strand_on_bare<loop, counting_as_work<loop>, pool, counting_as_work<pool>, asio::system_executor>(
            executor);
    else
        return executor;
}

/// A child's place and its cancellation. Belongs to an owner that outlives the task: its completion handler has a share
/// of that.
template <class Executor> class child_task {
public:
    explicit child_task(Executor const& executor_of_parent) : executor_(executor_for_child(executor_of_parent)) {}

    Executor const& executor() const noexcept { return executor_; }

    /// `on_end(std::exception_ptr)` is called where the child runs.
    template <class F> void start(asio::awaitable<void, Executor> task, F on_end) {
        asio::co_spawn(executor_, std::move(task), asio::bind_cancellation_slot(signal_.slot(), std::move(on_end)));
    }

    /// @pre `start` has returned
    template <class Owner> void cancel(Owner owner, asio::cancellation_type type) {
        asio::dispatch(executor_, [this, owner = std::move(owner), type] { signal_.emit(type); });
    }

    /// The same, where the child runs.
    void cancel_here(asio::cancellation_type type) { signal_.emit(type); }

private:
    Executor executor_;
    asio::cancellation_signal signal_;
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
