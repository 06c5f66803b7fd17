// SPDX-License-Identifier: MIT
// 10. Helpers: several awaitables at the same time.
#pragma once

#include <greenback/detail/config.hpp>

#include <greenback/await.hpp>
#include <greenback/detail/operation/child_task.hpp>

#include <atomic>
#include <cstddef>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>
#include <vector>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// The children of one `await_all`. Belongs to them, by their completion handlers, and has the handler of the task that
/// waits. So if all is destroyed, by a context, say, the last child takes that task with it, and nothing that the
/// children may use of it goes away before them.
///
/// Children may run on several threads, and end at the same time.
template <class T, class Executor, class Handler> class await_all_group {
public:
    struct nothing {};
    using results = std::vector<std::optional<std::conditional_t<std::is_void_v<T>, nothing, T>>>;

    await_all_group(Executor const& executor, std::size_t size, Handler&& handler)
        : results_(size), left_(size + 1), handler_(std::move(handler)) {
        for (std::size_t i = 0; i != size; ++i)
            children_.emplace_back(executor);
    }
    await_all_group(await_all_group const&) = delete;

    static void start(std::shared_ptr<await_all_group> self, std::vector<asio::awaitable<T, Executor>> tasks) {
        if (auto slot = asio::get_associated_cancellation_slot(self->handler_); slot.is_connected())
            slot.assign([group = std::weak_ptr(self)](asio::cancellation_type type) {
                if (auto const locked = group.lock())
                    cancel(locked, type);
            });
        for (std::size_t i = 0; i != tasks.size(); ++i) {
            try {
                self->children_[i].start(run(self->results_[i], std::move(tasks[i])),
                                         [self](std::exception_ptr e) { end_child(self, std::move(e)); });
            } catch (...) { // no memory, and no child
                end_child(self, std::current_exception());
            }
        }
        all_started(self);
    }

private:
    using pointer = std::shared_ptr<await_all_group>;

    /// By way of the executor, so that children begin on as many threads as there are, and none of them inside the
    /// initiation, on the stack of whatever has brought the task there.
    static asio::awaitable<void, Executor> run(typename results::value_type& result,
                                               asio::awaitable<T, Executor> task) {
        co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable_t<Executor>());
        if constexpr (std::is_void_v<T>)
            co_await std::move(task);
        else
            result.emplace(co_await std::move(task));
    }

    /// Only what has been started can be cancelled.
    static void all_started(pointer const& self) {
        asio::cancellation_type wanted;
        {
            std::scoped_lock const lock(self->mutex_);
            self->all_started_ = true;
            wanted = self->wanted_;
        }
        if (wanted != asio::cancellation_type::none)
            cancel(self, wanted);
        self->count_down();
    }

    static void cancel(pointer const& self, asio::cancellation_type type) {
        {
            std::scoped_lock const lock(self->mutex_);
            if (!self->all_started_) {
                self->wanted_ = self->wanted_ | type;
                return;
            }
        }
        for (auto& child : self->children_)
            child.cancel(self, type);
    }

    static void end_child(pointer const& self, std::exception_ptr error) {
        if (error) {
            bool first;
            {
                std::scoped_lock const lock(self->mutex_);
                first = !self->first_;
                if (first)
                    self->first_ = std::move(error);
            }
            if (first)
                cancel(self, asio::cancellation_type::terminal);
        }
        self->count_down();
    }

    /// Posted: the last child is to be gone before the waiting task goes on.
    void count_down() {
        if (--left_ != 0)
            return;
        auto const executor = asio::get_associated_executor(handler_);
        asio::post(executor,
                   [handler = std::move(handler_), first = std::move(first_), all = std::move(results_)]() mutable {
                       if constexpr (std::is_void_v<T>)
                           std::move(handler)(std::move(first));
                       else
                           std::move(handler)(std::move(first), std::move(all));
                   });
    }

    std::mutex mutex_; ///< guards the next three
    bool all_started_ = false;
    asio::cancellation_type wanted_ = asio::cancellation_type::none; ///< before that
    std::exception_ptr first_;
    results results_;               ///< each written by its child
    std::atomic<std::size_t> left_; ///< children that have not ended, and one for `start`
    std::deque<child_task<Executor>> children_;
    Handler handler_;
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE

namespace greenback::inline GREENBACK_BACKEND_NAMESPACE {

/// Awaits all of `tasks` at the same time, as child tasks on this task's executor, and returns their results.
///
/// Children have no portal. For synchronous code pass `with_portal_run_sync(f, args...)`.
///
/// @pre as for `await_`.
/// @returns a `std::vector<T>` in the order of `tasks`, or `void` for a `T` that is `void`. `T` may be move-only, and
///     need not be default-constructible.
/// @throws what the first child to fail has thrown, as it is, when all have ended: the others get a terminal
///     cancellation at once. What those throw is dropped · `no_portal` · `executor_mismatch` · `abandoned`.
///
/// Cancellation: one requested of the task is passed on to every child, as what it is. If a child ends by it, that is
///     its failure: `operation_aborted`. A task already cancelled throws, and no child is started.
/// Thread safety: children run on the threads of the task's executor. On a bare `io_context` or `thread_pool` each has
///     a strand, and they run at the same time if there are threads; on a strand one at a time. For a concrete
///     `Executor` type over several threads see docs/reference/await_all.md.
/// Cost: for each child that of `co_spawn`, a `post`, and two allocations if it gets a strand; for all together five
///     allocations and two stack switches.
/// Example: `std::vector<Page> pages = greenback::await_all(std::move(downloads));`
template <class T, class Executor>
std::conditional_t<std::is_void_v<T>, void, std::vector<T>>
await_all(std::vector<asio::awaitable<T, Executor>> tasks,
          std::source_location where = std::source_location::current()) {
    Executor const executor = await_(detail::executor_of_task<Executor>(), where);
    auto const start = [&](auto handler) {
        using group = detail::await_all_group<T, Executor, decltype(handler)>;
        auto started = std::make_shared<group>(executor, tasks.size(), std::move(handler));
        group::start(std::move(started), std::move(tasks));
    };
    if constexpr (std::is_void_v<T>) {
        if (!tasks.empty())
            await_(
                [&](auto token) {
                    return asio::async_initiate<decltype(token), void(std::exception_ptr)>(start, token);
                },
                where);
    } else {
        std::vector<T> values;
        if (tasks.empty())
            return values;
        values.reserve(tasks.size());
        auto results = await_(
            [&](auto token) {
                return asio::async_initiate<decltype(token), void(std::exception_ptr, std::vector<std::optional<T>>)>(
                    start, token);
            },
            where);
        for (std::optional<T>& result : results)
            values.push_back(*std::move(result)); // NOLINT(bugprone-unchecked-optional-access): none has failed
        return values;
    }
}

} // namespace greenback::inline GREENBACK_BACKEND_NAMESPACE
