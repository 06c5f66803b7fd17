// SPDX-License-Identifier: MIT
// A portal, as far as it needs to know nothing of Asio: its fiber, and the way on and off it.
#pragma once

#include <greenback/detail/fiber.hpp>
#include <greenback/detail/thread_state.hpp>

#include <source_location>
#include <typeinfo>

namespace greenback::detail {

/// What a fiber leaves for its resumer to do once the fiber is out: start the operation it waits for. Until then no
/// other thread can know of the operation, so none can resume a fiber that is not out yet.
/// @returns whether the fiber is to be entered again at once; if not, the portal may already be gone.
struct errand {
    bool (*run)(void*) = nullptr;
    void* argument = nullptr;
};

class portal_base {
public:
    portal_base(const void* key, const std::type_info& executor_type, int backend) noexcept
        : key_(key), executor_type_(&executor_type), backend_(backend) {}
    portal_base(const portal_base&) = delete;
    portal_base& operator=(const portal_base&) = delete;

    const std::type_info& executor_type() const noexcept { return *executor_type_; }
    int backend() const noexcept { return backend_; }
    bool abandoned() const noexcept { return abandoned_; }
    const void* key() const noexcept { return key_; }
    bool done() const noexcept { return done_; }
    const fiber* home() const noexcept { return fiber_; }

    /// May synchronous code await here, right now? False while the task is being destroyed, and in code that an
    /// operation's initiation runs.
    virtual bool serving() const noexcept = 0;

    /// Run the fiber until it comes out. Called on the resumer's stack, and the only writer of `thread_state::current`.
    /// The exception state is exchanged on this side alone: this function starts and ends on one thread, which cannot be
    /// said of anything on the fiber.
    [[gnu::always_inline]] thread_state& enter(thread_state& thread) noexcept {
        portal_base* const outer = thread.current;
        exception_state& exceptions = *thread.exceptions;
        // Member by member: one wide load of what two stores have just written would wait for both to reach the cache.
        void* const outer_caught = exceptions.caught;
        unsigned const outer_uncaught = exceptions.uncaught;
        fiber& f = *fiber_;
        thread.current = this;
        entered_on_ = &thread;
        exceptions.caught = exceptions_.caught;
        exceptions.uncaught = exceptions_.uncaught;
        f.state.store(fiber::running, std::memory_order_relaxed);
        switch_in(f);
        f.state.store(fiber::waiting, std::memory_order_relaxed);
        exceptions_.caught = exceptions.caught;
        exceptions_.uncaught = exceptions.uncaught;
        exceptions.caught = outer_caught;
        exceptions.uncaught = outer_uncaught;
        thread.current = outer;
        return thread;
    }

protected:
    ~portal_base() = default;

    fiber* fiber_ = nullptr;      ///< null: not started, or over
    exception_state exceptions_{};  ///< the fiber's, while it is out
    thread_state* entered_on_;    ///< the thread whose fiber this is while it is in
    errand errand_;               ///< written by the fiber before it goes out, read by its resumer
    /// One comparison for the question whether an awaitable of a certain executor type can be awaited here: an address
    /// that stands for backend and type. Null once the task is being destroyed.
    const void* key_;
    const std::type_info* executor_type_;
    int backend_;                 ///< 0: standalone Asio, 1: Boost.Asio
    bool done_ = false;           ///< the fiber's job has returned. Written on the fiber.
    bool abandoned_ = false;      ///< the task is being destroyed. Written by `abandon`, never reset.

public:
    std::source_location where_; ///< the `await_` the fiber is in, or was in last
};

} // namespace greenback::detail
