// SPDX-License-Identifier: MIT
// Awaiting what is not Asio's: any C++20 awaiter, completed by anybody on any thread.
#pragma once

#include <greenback/use_portal.hpp>

#include <coroutine>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

template <class X>
concept awaiter = requires(X& x, std::coroutine_handle<> h) {
    x.await_ready() ? true : false;
    x.await_suspend(h);
    x.await_resume();
};

template <class X>
concept has_member_co_await = requires(X&& x) { std::forward<X>(x).operator co_await(); };
template <class X>
concept has_free_co_await = requires(X&& x) { operator co_await(std::forward<X>(x)); };

template <class X>
concept foreign_awaitable = has_member_co_await<X> || has_free_co_await<X> || awaiter<std::remove_reference_t<X>>;

template <foreign_awaitable X> decltype(auto) get_awaiter(X&& x) {
    if constexpr (has_member_co_await<X>)
        return std::forward<X>(x).operator co_await();
    else if constexpr (has_free_co_await<X>)
        return operator co_await(std::forward<X>(x));
    else
        return std::forward<X>(x);
}

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
    bridge* first_ = nullptr;
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
          handler_(std::move(handler)) {
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
    void complete() {
        std::scoped_lock lock(list_->mutex_);
        if (!handler_)
            return;
        foreign_handler handler = std::move(*handler_);
        handler_.reset();
        list_->remove(*this);
        asio::any_io_executor const executor = std::exchange(executor_, asio::any_io_executor());
        asio::post(executor, std::move(handler));
    }

private:
    friend class pending_bridges;
    std::shared_ptr<pending_bridges> list_;
    asio::any_io_executor executor_; ///< tracked: the awaited thing counts as work, as an operation does
    std::optional<foreign_handler> handler_;
    bridge* next_ = nullptr;
    bridge* previous_ = nullptr;
};

inline void pending_bridges::add(bridge& b) {
    std::scoped_lock lock(mutex_);
    b.next_ = first_;
    if (first_)
        first_->previous_ = &b;
    first_ = &b;
}

inline void pending_bridges::remove(bridge& b) {
    (b.previous_ ? b.previous_->next_ : first_) = b.next_;
    if (b.next_)
        b.next_->previous_ = b.previous_;
}

inline void pending_bridges::drop_all() {
    for (;;) {
        std::optional<foreign_handler> dropped; // destroyed without the lock: that destroys its task
        std::scoped_lock lock(mutex_);
        if (!first_)
            return;
        bridge& b = *first_;
        dropped.emplace(std::move(*b.handler_));
        b.handler_.reset();
        b.executor_ = asio::any_io_executor();
        remove(b);
    }
}

struct bridge::promise_type {
    promise_type(std::shared_ptr<pending_bridges> const& list, asio::any_io_executor const& executor,
                 foreign_handler& handler)
        : bridge_(list, executor, std::move(handler)) {}
    handle get_return_object() noexcept { return handle::from_promise(*this); }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; } // it destroys itself
    void return_void() const noexcept {}
    [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }

    struct self {
        promise_type* promise = nullptr;
        bool await_ready() const noexcept { return false; }
        bool await_suspend(handle h) noexcept {
            promise = &h.promise();
            return false;
        }
        bridge& await_resume() const noexcept { return promise->bridge_; }
    };

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
    (co_await bridge::promise_type::self()).complete();
}

/// One await of a foreign awaiter, on the fiber's stack.
template <class Awaiter> class foreign_operation {
public:
    foreign_operation(any_portal& portal, Awaiter& awaiter) : portal_(portal), awaiter_(awaiter) {}

    void run() {
        asio::any_io_executor executor = portal_.executor();
        asio::execution_context& context = asio::query(executor, asio::execution::context);
        list_ = asio::use_service<pending_bridges_service>(context).list();
        executor_ = std::move(executor);
        if (portal_.abandoned()) [[unlikely]] // since await_foreign asked: await_ready may have awaited
            throw_abandoned();
        portal_.suspend_for_operation({&start, this});
        if (not_started_)
            std::rethrow_exception(std::exchange(not_started_, nullptr));
    }

private:
    /// On the resumer's stack, the fiber being out: see `after_suspend`.
    static bool start(void* self) {
        auto& op = *static_cast<foreign_operation*>(self);
        foreign_handler handler(op.portal_, op.result_);
        bridge::handle b;
        try {
            b = make_bridge(op.list_, op.executor_, handler);
        } catch (...) {
            return handler.release(), op.not_started_ = std::current_exception(), true;
        }
        try {
            using answer = decltype(op.awaiter_.await_suspend(std::coroutine_handle<>(b)));
            if constexpr (std::is_void_v<answer>) {
                op.awaiter_.await_suspend(std::coroutine_handle<>(b));
                return false;
            } else if constexpr (std::is_same_v<answer, bool>) {
                if (op.awaiter_.await_suspend(std::coroutine_handle<>(b)))
                    return false;
            } else {
                std::coroutine_handle<> const next = op.awaiter_.await_suspend(std::coroutine_handle<>(b));
                resume_transferred(next);
                return false;
            }
        } catch (...) {
            op.not_started_ = std::current_exception();
        }
        // Not suspended after all, or thrown: then nobody has the handle, and it is ours to destroy.
        if (std::optional<foreign_handler> unused = b.promise().bridge_.take())
            unused->release();
        b.destroy();
        return true;
    }

    /// Outside of the try block's reach: what another coroutine throws when it is resumed is not await_suspend's error.
    static void resume_transferred(std::coroutine_handle<> next) noexcept { next.resume(); }

    any_portal& portal_;
    Awaiter& awaiter_;
    operation_result<> result_;
    asio::any_io_executor executor_;
    std::shared_ptr<pending_bridges> list_;
    std::exception_ptr not_started_;
};

template <class X> decltype(auto) await_foreign(X&& x, std::source_location const& where) {
    any_portal& portal = require_portal(where);
    portal.where_ = where;
    portal.check_cancelled();
    auto&& a = get_awaiter(std::forward<X>(x));
    if (!a.await_ready()) {
        foreign_operation<std::remove_reference_t<decltype(a)>> op(portal, a);
        op.run();
    }
    return a.await_resume();
}

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
