// SPDX-License-Identifier: MIT
// The child tasks of one await_all, and what they share; see await_all.hpp.
#pragma once

#include <greenback/detail/operation/child_task.hpp>

#include <atomic>
#include <cstddef>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
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
        : results_(size), left_(size + 1), children_(make_children(executor, size)), handler_(std::move(handler)) {}
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
    using children = std::deque<child_task<Executor>>; // which does not move them

    /// Before the handler is taken: if this throws, it is still the caller's.
    static children make_children(Executor const& executor, std::size_t size) {
        children made;
        for (std::size_t i = 0; i != size; ++i)
            made.emplace_back(executor);
        return made;
    }

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
                cancel_the_others(self);
        }
        self->count_down();
    }
    static void cancel_the_others(pointer const& self) noexcept {
        try {
            cancel(self, asio::cancellation_type::terminal);
        } catch (...) { // NOLINT(bugprone-empty-catch): no memory to do so; they are waited for as they are
        }
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
    children children_;
    Handler handler_;
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
