// SPDX-License-Identifier: MIT
// A child task that is cancelled when its time is over; see await_for.hpp.
#pragma once

#include <greenback/detail/operation/child_task.hpp>
#include <greenback/detail/operation/time_limit.hpp>

#if defined(GREENBACK_USE_BOOST_ASIO)
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/multiple_exceptions.hpp>
#else
#include <asio/basic_waitable_timer.hpp>
#include <asio/multiple_exceptions.hpp>
#endif

#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// Does `e` say that something was cancelled? `a && b` says so by exceptions of which that is the first.
inline bool is_operation_aborted(std::exception_ptr const& e) noexcept {
    try {
        std::rethrow_exception(e);
    } catch (system_error const& error) {
        return error.code() == asio::error::operation_aborted;
    } catch (asio::multiple_exceptions const& several) {
        return several.first_exception() && is_operation_aborted(several.first_exception());
    } catch (...) {
        return false;
    }
}

/// The child, its timer, and the handler of the task that waits. Belongs to the child's completion handler alone: so
/// whatever is destroyed, the child goes before the task that waits; and where Asio drops that handler, since it has no
/// memory to call it, the task is told at once, not when the time is up.
///
/// All of it happens where the child runs, in turn. Only on an executor of a type that can't hold a strand, over
/// several threads, may the child end while its time does: that is what the lock is for.
template <class T, class Executor, class Handler> class timed_task {
public:
    struct nothing {};
    using result = std::optional<std::conditional_t<std::is_void_v<T>, nothing, T>>;
    using pointer = std::shared_ptr<timed_task>;

    timed_task(Executor const& executor, Handler&& handler)
        : child_(executor), timer_(child_.executor()), handler_(std::move(handler)) {}
    timed_task(timed_task const&) = delete;

    /// Posted, so that the child does not begin inside the initiation, on the stack of whatever has brought the task
    /// there.
    static void start(pointer const& self, time_limit limit, asio::awaitable<T, Executor> task) {
        if (auto slot = asio::get_associated_cancellation_slot(self->handler_); slot.is_connected())
            slot.assign([waits = std::weak_ptr(self)](asio::cancellation_type type) {
                if (auto const locked = waits.lock())
                    asio::dispatch(locked->child_.executor(), [locked, type] { locked->cancel_from_outside(type); });
            });
        asio::post(self->child_.executor(),
                   [self, limit, task = std::move(task)]() mutable { start_here(self, limit, std::move(task)); });
    }

private:
    static void start_here(pointer const& self, time_limit limit, asio::awaitable<T, Executor> task) {
        try {
            if (limit != time_limit::max()) {
                self->timer_.expires_after(limit);
                self->timer_.async_wait([waits = std::weak_ptr(self)](error_code ec) {
                    if (auto const locked = waits.lock(); locked && !ec)
                        end_time_after(locked, 2);
                });
            }
            self->child_.start(run(self->result_, std::move(task)),
                               [self](std::exception_ptr e) { self->end_child(std::move(e)); });
        } catch (...) { // no memory
            if (self->has_ended())
                throw; // to post the child's end
            return self->end_child(std::current_exception());
        }
        self->has_started();
    }

    static asio::awaitable<void, Executor> run(result& into, asio::awaitable<T, Executor> task) {
        if constexpr (std::is_void_v<T>)
            co_await std::move(task);
        else
            into.emplace(co_await std::move(task));
    }

    /// What has ended by now, and waits to say so, has ended in time. So let everything else have a turn first: one in
    /// which it comes to the child's strand, and one in which it runs there.
    static void end_time_after(pointer const& self, int turns) {
        if (turns == 0)
            return self->end_time();
        try {
            asio::post(self->child_.executor(), [self, turns] { end_time_after(self, turns - 1); });
        } catch (...) { // no memory to wait: rather at once than never
            self->end_time();
        }
    }

    // Only a child that has been started can be cancelled, and only one that has not ended needs to be.

    void end_time() {
        {
            std::scoped_lock const lock(mutex_);
            if (ended_)
                return;
            timed_out_ = true;
            if (!started_)
                return;
        }
        child_.cancel_here(asio::cancellation_type::terminal);
    }

    void cancel_from_outside(asio::cancellation_type type) {
        {
            std::scoped_lock const lock(mutex_);
            if (ended_)
                return;
            outside_ = outside_ | type;
            if (!started_)
                return;
        }
        child_.cancel_here(type);
    }

    void has_started() {
        auto missed = asio::cancellation_type::none;
        {
            std::scoped_lock const lock(mutex_);
            started_ = true;
            if (ended_)
                return;
            missed = timed_out_ ? outside_ | asio::cancellation_type::terminal : outside_;
        }
        if (missed != asio::cancellation_type::none)
            child_.cancel_here(missed);
    }

    bool has_ended() {
        std::scoped_lock const lock(mutex_);
        return ended_;
    }

    void end_child(std::exception_ptr error) {
        {
            std::scoped_lock const lock(mutex_);
            ended_ = true;
        }
        timer_.cancel();
        if (timed_out_ && (!error || is_operation_aborted(error))) {
            bool const cancelled = (outside_ & asio::cancellation_type::terminal) != asio::cancellation_type::none;
            error_code const code = cancelled ? error_code(asio::error::operation_aborted) //
                                              : error_code(asio::error::timed_out);
            error = std::make_exception_ptr(system_error(code, "greenback: waiting, with a time limit"));
            result_.reset();
        }
        // Posted: the child is to be gone before the waiting task goes on.
        auto const executor = asio::get_associated_executor(handler_);
        asio::post(executor, [handler = std::move(handler_), e = std::move(error), r = std::move(result_)]() mutable {
            complete(std::move(handler), std::move(e), std::move(r));
        });
    }

    static void complete(Handler&& handler, std::exception_ptr error, [[maybe_unused]] result&& value) {
        if constexpr (std::is_void_v<T>)
            std::move(handler)(std::move(error));
        else
            std::move(handler)(std::move(error), std::move(value));
    }

    std::mutex mutex_; ///< guards the next four
    bool started_ = false;
    bool ended_ = false;
    bool timed_out_ = false;                                          ///< before it has ended
    asio::cancellation_type outside_ = asio::cancellation_type::none; ///< asked for by the waiting task's cancellation
    result result_;
    child_task<Executor> child_;
    asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, Executor>
        timer_;
    Handler handler_;
};

/// The initiation that starts `task` for a task on `executor`, and waits for it. Refers to its arguments.
template <class T, class Executor>
auto timed_task_start(Executor const& executor, time_limit limit, asio::awaitable<T, Executor>& task) {
    return [&executor, limit, &task](auto&& handler) {
        using child = timed_task<T, Executor, std::decay_t<decltype(handler)>>;
        auto const made = std::make_shared<child>(executor, std::forward<decltype(handler)>(handler));
        child::start(made, limit, std::move(task));
    };
}

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
