// SPDX-License-Identifier: MIT
// A portal, as far as it needs to know nothing of Asio: its fiber, and the way on and off it.
#pragma once

#include <greenback/detail/fiber.hpp>
#include <greenback/detail/thread_state.hpp>

#include <source_location>
#include <typeinfo>
#include <utility>

namespace greenback::detail {

/// What a fiber leaves for its resumer to do once the fiber is out: start the operation it waits for. Until then no
/// other thread can know of the operation, so none can resume a fiber that is not out yet.
/// @returns whether the fiber is to be entered again at once; if not, the portal may already be gone.
struct errand {
    bool (*run)(void*) = nullptr;
    void* argument = nullptr;
};

/// What portals have in common that serve tasks of one executor type: a portal is told by the address of its kind.
struct portal_kind {
    const std::type_info* executor_type;
    int backend; ///< 0: standalone Asio, 1: Boost.Asio
};

class portal_base {
public:
    portal_base(fiber& f, const portal_kind& kind) noexcept : fiber_(&f), kind_(&kind), serves_(&kind) {}
    portal_base(const portal_base&) = delete;
    portal_base& operator=(const portal_base&) = delete;

    const std::type_info& executor_type() const noexcept { return *kind_->executor_type; }
    int backend() const noexcept { return kind_->backend; }
    bool abandoned() const noexcept { return abandoned_; }
    /// One comparison for the question whether an awaitable of a certain kind can be awaited here.
    const portal_kind* serves() const noexcept { return serves_; }
    bool done() const noexcept { return done_; }
    fiber& home() const noexcept { return *fiber_; }
    /// The thread that entered the fiber last.
    thread_state& entered_on() const noexcept { return *entered_on_; }

    /// May synchronous code await here, right now? False while the task is being destroyed, and in code that an
    /// operation's initiation runs.
    virtual bool serving() const noexcept = 0;

    /// Run the fiber until it comes out. Called on the resumer's stack, and the only writer of `thread_state::current`.
    /// The exception state is exchanged on this side alone: this function starts and ends on one thread, which cannot be
    /// said of anything on the fiber. What it puts aside is kept in the portal: nothing need survive in registers.
    [[gnu::always_inline]] void enter(thread_state& thread) noexcept {
        outer_ = thread.current;
        thread.current = this;
        entered_on_ = &thread;
        exchange(*thread.exceptions);
        fiber_->state.store(fiber::running, std::memory_order_relaxed);
        switch_in(*fiber_);
        fiber_->state.store(fiber::waiting, std::memory_order_relaxed);
        exchange(*thread.exceptions);
        thread.current = outer_;
    }

protected:
    ~portal_base() = default;

    /// Is an exception handled, or on its way, in the code that runs?
    bool handles_exceptions() const noexcept {
        return entered_on_->exceptions->caught || entered_on_->exceptions->uncaught;
    }

    fiber* const fiber_;
    exception_state exceptions_{};  ///< the fiber's, while it is out; the resumer's, while it is in
    portal_base* outer_;          ///< the portal whose fiber the resumer is on, while this one is in; or null
    thread_state* entered_on_;    ///< the thread whose fiber this is while it is in
    errand errand_;               ///< written by the fiber before it goes out, read by its resumer
    const portal_kind* const kind_;
    const portal_kind* serves_;   ///< `kind_`; null once the task is being destroyed
    bool done_ = false;           ///< the fiber's job has returned. Written on the fiber.
    bool abandoned_ = false;      ///< the task is being destroyed. Written by `abandon`, never reset.

public:
    std::source_location where_; ///< the `await_` the fiber is in, or was in last

private:
    /// Member by member: one wide load of what two stores have just written would wait for both to reach the cache.
    void exchange(exception_state& of_thread) noexcept {
        std::swap(of_thread.caught, exceptions_.caught);
        std::swap(of_thread.uncaught, exceptions_.uncaught);
    }
};

} // namespace greenback::detail
