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
    bool (*run)(void*) = nullptr; ///< null: there is none
    void* argument;
};

/// What portals have in common that serve tasks of one executor type: a portal is told by the address of its kind.
struct portal_kind {
    const std::type_info* executor_type;
    int backend; ///< 0: standalone Asio, 1: Boost.Asio
};

/// Of no awaitable.
inline constexpr portal_kind abandoned_kind = {&typeid(void), -1};

class portal_base {
public:
    /// @param here the thread this is on, where the fiber will be entered first
    portal_base(fiber& f, const portal_kind& kind, thread_state& here) noexcept
        : fiber_(&f), entered_on_(&here), kind_(&kind) {}
    portal_base(const portal_base&) = delete;
    portal_base& operator=(const portal_base&) = delete;

    const std::type_info& executor_type() const noexcept { return *kind_->executor_type; }
    int backend() const noexcept { return kind_->backend; }
    bool abandoned() const noexcept { return abandoned_; }
    /// One comparison for the question whether an awaitable of a certain kind can be awaited here.
    const portal_kind* kind() const noexcept { return kind_; }
    /// Has the fiber's job returned?
    bool done() const noexcept { return !fiber_->is_busy(); }
    fiber& home() const noexcept { return *fiber_; }
    /// The thread that entered the fiber last.
    thread_state& entered_on() const noexcept { return *entered_on_; }

    /// May synchronous code await here, right now? False while the task is being destroyed, and in code that an
    /// operation's initiation runs.
    virtual bool serving() const noexcept = 0;

    /// Run the fiber until it comes out. Called on the resumer's stack, and the only writer of `thread_state::current`.
    /// The exception state is exchanged on this side alone: this function starts and ends on one thread, which cannot be
    /// said of anything on the fiber. What it puts aside is kept in the portal: nothing need survive in registers.
    /// @returns whether its job is over
    [[gnu::always_inline]] bool enter(thread_state& thread) noexcept {
        exception_state const resumers = *thread.exceptions;
        *thread.exceptions = exceptions_;
        exceptions_ = resumers;
        entered_on_ = &thread;
        return go_in(thread);
    }
    /// The same for the first time, on the thread given to the constructor.
    [[gnu::always_inline]] bool enter_first() noexcept {
        exceptions_ = *entered_on_->exceptions;
        *entered_on_->exceptions = exception_state();
        return go_in(*entered_on_);
    }

protected:
    ~portal_base() = default;

    /// Is an exception handled, or on its way, in the code that runs?
    bool handles_exceptions() const noexcept {
        return entered_on_->exceptions->caught || entered_on_->exceptions->uncaught;
    }

    fiber* const fiber_;
    exception_state exceptions_;  ///< the fiber's, while it is out; the resumer's, while it is in
    portal_base* outer_;          ///< the portal whose fiber the resumer is on, while this one is in; or null
    thread_state* entered_on_;    ///< the thread whose fiber this is while it is in
    errand errand_;               ///< written by the fiber before it goes out, read by its resumer
    const portal_kind* kind_;     ///< `abandoned_kind` once the task is being destroyed
    bool abandoned_ = false;      ///< the task is being destroyed. Written by `abandon`, never reset.

public:
    std::source_location where_; ///< the `await_` the fiber is in, or was in last

private:
    [[gnu::always_inline]] bool go_in(thread_state& thread) noexcept {
        outer_ = thread.current;
        thread.current = this;
        switch_in(fiber_);
        entered_on_->current = outer_;
        exception_state& exceptions = *entered_on_->exceptions;
        if (done()) {
            exceptions = exceptions_;
            return true;
        }
        exception_state const fibers = exceptions;
        exceptions = exceptions_;
        exceptions_ = fibers;
        return false;
    }
};

} // namespace greenback::detail
