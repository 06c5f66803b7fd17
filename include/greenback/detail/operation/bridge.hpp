// SPDX-License-Identifier: MIT
// What an awaiter that is not Asio's gets for a coroutine, and what is remembered of it until it is resumed.
#pragma once

#include <greenback/detail/intrusive_list.hpp>
#include <greenback/detail/operation/operation.hpp>
#include <greenback/detail/task/self_destroying.hpp>

#include <coroutine>
#include <memory>
#include <mutex>
#include <optional>
#include <typeinfo>
#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

using foreign_handler = operation_handler<operation_result<>>;

class bridge;

/// The awaits of one execution context that wait for somebody else. When the context goes, so do their tasks.
class pending_bridges {
public:
    void add(bridge& b);
    void remove(bridge& b);
    void drop_all();

private:
    friend class bridge;
    std::mutex mutex_; ///< guards the list and every `bridge::handler_` in it
    intrusive_list<bridge> list_;
};

class [[gnu::visibility("default")]] pending_bridges_service : public asio::execution_context::service {
public:
    inline static asio::execution_context::id id;
    using key_type = pending_bridges_service;

    explicit pending_bridges_service(asio::execution_context& context) : service(context) {}
    void shutdown() noexcept override { list_->drop_all(); }
    std::shared_ptr<pending_bridges> const& list() const noexcept { return list_; }

private:
    std::shared_ptr<pending_bridges> list_ = std::make_shared<pending_bridges>();
};

/// What the awaiter gets for a coroutine: resumed, it posts the task's continuation to the task's executor and is gone.
/// It belongs to whoever will resume it, not to the task, so a resumption after the task's end finds it, and does
/// nothing.
class bridge {
public:
    struct promise_type;
    using handle = std::coroutine_handle<promise_type>;

    bridge(std::shared_ptr<pending_bridges> list, asio::any_io_executor const& executor, foreign_handler&& handler)
        : list_(std::move(list)), executor_(asio::prefer(executor, asio::execution::outstanding_work.tracked)),
          loop_(loop_of(executor)), handler_(std::move(handler)) {
        list_->add(*this);
    }
    bridge(bridge const&) = delete;
    ~bridge() { take(); }

    /// @returns the handler, unless the context has dropped it. Nobody else can take it after that.
    std::optional<foreign_handler> take() {
        std::scoped_lock lock(list_->mutex_);
        std::optional<foreign_handler> taken;
        if (handler_) {
            taken.emplace(std::move(*handler_));
            handler_.reset();
            list_->remove(*this);
        }
        return taken;
    }

    /// Posted, never called here: this runs on the completing thread, perhaps inside await_suspend. All of it with the
    /// lock held, which the context's shutdown has to wait for: it must not go away while something is posted to it.
    ///
    /// There is nobody to tell that there is no memory for it: who completes need not know of the task, and the task
    /// waits. So an event loop is posted to by its own executor, which asks the handler for memory, and that has the
    /// fiber's, where there is room until the task goes on. Any other executor takes memory of its own, and if there is
    /// none, the program ends.
    void complete() {
        std::scoped_lock lock(list_->mutex_);
        if (!handler_)
            return;
        foreign_handler handler = std::move(*handler_);
        handler_.reset();
        list_->remove(*this);
        asio::any_io_executor const executor = std::exchange(executor_, asio::any_io_executor());
        if (loop_)
            asio::post(loop_->get_executor(), std::move(handler));
        else
            asio::post(executor, std::move(handler));
    }

private:
    /// @returns the event loop whose own executor `executor` is, null if it is another
    static asio::io_context* loop_of(asio::any_io_executor const& executor) noexcept {
        using own = asio::io_context::executor_type;
        if (executor.target_type() != typeid(own)) // Asio 1.22.1's target() doesn't compare it
            return nullptr;
        return &asio::query(*executor.target<own>(), asio::execution::context);
    }

    friend class pending_bridges;
    std::shared_ptr<pending_bridges> list_;
    asio::any_io_executor executor_; ///< tracked: the awaited thing counts as work, as an operation does
    asio::io_context* loop_;         ///< null: its executor is not an event loop's own
    std::optional<foreign_handler> handler_;
    friend class intrusive_list<bridge>;
    bridge* next = nullptr; ///< these two are the list's
    bridge* previous = nullptr;
};

inline void pending_bridges::add(bridge& b) {
    std::scoped_lock lock(mutex_);
    list_.add(b);
}

/// @pre the lock is held
inline void pending_bridges::remove(bridge& b) { list_.remove(b); }

inline void pending_bridges::drop_all() {
    for (;;) {
        std::optional<foreign_handler> dropped; // destroyed without the lock: that destroys its task
        std::scoped_lock lock(mutex_);
        if (list_.empty())
            return;
        bridge& b = *list_.first();
        dropped.emplace(std::move(*b.handler_)); // NOLINT(bugprone-unchecked-optional-access): it has, being listed
        b.handler_.reset();
        b.executor_ = asio::any_io_executor();
        remove(b);
    }
}

struct bridge::promise_type : self_destroying {
    promise_type(std::shared_ptr<pending_bridges> const& list, asio::any_io_executor const& executor,
                 foreign_handler& handler)
        : bridge_(list, executor, std::move(handler)) {}
    handle get_return_object() noexcept { return handle::from_promise(*this); }
    bridge bridge_;
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE

template <class... Args>
struct std::coroutine_traits<std::coroutine_handle<greenback::detail::bridge::promise_type>, Args...> {
    using promise_type = greenback::detail::bridge::promise_type;
};

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

inline bridge::handle make_bridge(std::shared_ptr<pending_bridges> const&, asio::any_io_executor const&,
                                  foreign_handler&) {
    (co_await promise_of_this<bridge::promise_type>()).bridge_.complete();
}

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
