// SPDX-License-Identifier: MIT
// A portal, as far as it needs to know nothing of Asio: its fiber, and the way on and off it.
#pragma once

#include <greenback/detail/config.hpp>
#include <greenback/detail/fiber/fiber.hpp>
#include <greenback/detail/fiber/thread_state.hpp>

#include <source_location>
#include <typeinfo>
#include <utility>

namespace greenback::detail {

class portal_base;

/// What a fiber leaves for its resumer to do once the fiber is out: start the operation it waits for. Until then no
/// other thread can know of the operation, so none can resume a fiber that is not out yet.
/// @returns whether the fiber is to be entered again at once; if not, the portal may already be gone. What it throws
/// leaves the event loop's `run()`; the portal may be gone then, too.
struct after_suspend {
    bool (*run)(portal_base&, void* argument); ///< null: there is none
    void* argument;
};

/// What portals have in common that serve tasks of one executor type: a portal is told by the address of its kind. That
/// address must be the same in all of a program's shared objects, also in those built with -fvisibility=hidden.
struct portal_kind {
    std::type_info const* executor_type;
    int backend; ///< 0: standalone Asio, 1: Boost.Asio
};

/// Of a task that is being destroyed. These two are in the compiled part, so that there is one of each, also where a
/// program loads shared objects that don't see each other's symbols.
extern portal_kind const abandoned_kind;
/// Of a portal that has to be asked to `prepare` first.
extern portal_kind const unprepared_kind;

/// Of a portal while a `no_await_scope` is alive in it: it belongs to the scope, which puts it in the place of the kind
/// that was there. So an await finds it by the comparison that it makes anyway, and forbidding costs nothing until it
/// is done.
struct forbidden_kind : portal_kind {
    static constexpr int no_backend = -3;

    forbidden_kind(char const* why, std::source_location at) noexcept
        : portal_kind{&typeid(void), no_backend}, reason(why), where(at) {}

    portal_kind const* outside = nullptr; ///< the kind that it stands in the place of, perhaps another scope's
    char const* reason;
    std::source_location where; ///< of the scope
    // Of a coroutine's scope, which has this on the heap, either may be gone before the other; the second frees it.
    bool portal_is_gone = false; ///< written by `forget_scopes`
    bool scope_is_gone = false;  ///< written by the scope
};

/// Lies in the record of its fiber.
class portal_base {
public:
    /// @param here the thread this is on, where the fiber will be entered first
    explicit portal_base(thread_state& here) noexcept : entered_on_(&here), kind_(&unprepared_kind) {}
    portal_base(portal_base const&) = delete;
    portal_base& operator=(portal_base const&) = delete;

    std::type_info const& executor_type() const noexcept { return *kind_->executor_type; }
    int backend() const noexcept { return kind_->backend; }
    /// Is the task being destroyed?
    bool abandoned() const noexcept { return kind_ == &abandoned_kind; }
    /// One comparison for the question whether an awaitable of a certain kind can be awaited here.
    portal_kind const* kind() const noexcept { return kind_; }
    /// The kind behind those of scopes that forbid to await.
    portal_kind const& kind_when_allowed() const noexcept {
        portal_kind const* kind = kind_;
        while (kind->backend == forbidden_kind::no_backend)
            kind = static_cast<forbidden_kind const*>(kind)->outside;
        return *kind;
    }
    /// Who forbids to await here, the innermost; null: nobody.
    forbidden_kind const* forbidden_by() const noexcept {
        return kind_->backend == forbidden_kind::no_backend ? static_cast<forbidden_kind const*>(kind_) : nullptr;
    }
    /// @pre is_prepared(), and not abandoned
    void forbid(forbidden_kind& by) noexcept {
        GREENBACK_ASSERT(is_prepared() && !abandoned());
        by.outside = std::exchange(kind_, &by);
    }
    /// At the end of the fiber's job: this goes, and scopes may end later. Here, where there is nothing to be kept in
    /// registers, and not where the portal is destroyed: that is inlined in coroutines, each await of which would save one
    /// register more.
    void end_scopes() noexcept {
        if (forbidden_by()) [[unlikely]]
            forget_scopes();
    }
    GREENBACK_COLD void forget_scopes() noexcept {
        while (kind_->backend == forbidden_kind::no_backend) {
            auto* const scope = const_cast<forbidden_kind*>(static_cast<forbidden_kind const*>(kind_));
            kind_ = scope->outside;
            scope->portal_is_gone = true;
            if (scope->scope_is_gone)
                delete scope;
        }
    }
    /// In whatever order: scopes need not end as they nest. Nothing, if the task was abandoned meanwhile.
    void allow(forbidden_kind& by) noexcept {
        portal_kind const** kind = &kind_;
        while (*kind != &by) {
            if ((*kind)->backend != forbidden_kind::no_backend)
                return;
            kind = &const_cast<forbidden_kind*>(static_cast<forbidden_kind const*>(*kind))->outside;
        }
        *kind = by.outside;
    }

    /// Has the fiber's job returned?
    bool done() const noexcept { return !own_fiber().is_busy(); }
    /// The fiber in whose record it lies.
    fiber& own_fiber() const noexcept { return fiber::of_portal(this); }
    /// The thread that entered the fiber last.
    thread_state& entered_on() const noexcept { return *entered_on_; }

    /// Most of a portal is of use only to what awaits, so a portal that runs a function leaves it for the first who
    /// asks.
    bool is_prepared() const noexcept { return kind_ != &unprepared_kind; }
    void ensure_prepared() noexcept {
        if (!is_prepared())
            prepare();
    }

    /// May the synchronous code of this portal await? False while the task is being destroyed, and in code that an
    /// operation's initiation runs. @pre is_prepared()
    virtual bool serving() const noexcept = 0;

    /// Does the function that the portal is for run, and no coroutine that it awaits? @pre is_prepared()
    virtual bool in_function() const noexcept = 0;

    /// Run the fiber of `p` until it comes out. Called on the resumer's stack; with `enter_new` the only writer of
    /// `thread_state::current`. The exception state is exchanged on this side alone: this function starts and ends on
    /// one thread, which cannot be said of anything on the fiber. What it puts aside is kept in the portal: nothing but
    /// `p` need survive in registers, see `switch_in`.
    /// @returns whether its job is over
    template <class Portal> GREENBACK_SWITCH_PATH static bool enter(Portal*& p, thread_state& thread) noexcept {
        p->is_going_in(thread);
        switch_in(p, &p->own_fiber());
        p->has_come_out();
        asm("" : "+r"(p)); // as in `switch_in`: the call that may lie before this would cost a register
        return p->done();
    }
    /// The same for the first time, on the thread given to the constructor.
    /// @pre it is on no fiber, and handles no exceptions: there is nothing to be put aside
    template <class Portal> GREENBACK_SWITCH_PATH static bool enter_new(Portal*& p, thread_state& thread) noexcept {
        GREENBACK_ASSERT(p->own_fiber().is_out() && !p->done() && &thread == &this_thread() && !thread.current &&
                         !thread.exceptions->any());
        thread.current = p;
        switch_in(p, &p->own_fiber());
        return p->has_come_out_new();
    }

    union {
        /// The `await_` or `use_portal` the fiber is in, or was in last: see src/call_site.hpp. Set when prepared.
        std::source_location site;
    };

    /// On the resumer's side, the fiber being out: does it wait for an operation of ours that is yet to be started?
    bool is_to_start_operation() const noexcept { return after_suspend_.run != nullptr; }
    /// What the fiber has left for that, until it leaves something else.
    void* operation() const noexcept { return after_suspend_.argument; }
    /// Start it. @returns whether the fiber is to go on at once; if not, the portal may be gone
    bool start_operation() {
        after_suspend const todo = after_suspend_;
        after_suspend_.run = nullptr;
        return todo.run(*this, todo.argument);
    }

protected:
    ~portal_base() = default;

    virtual void prepare() noexcept = 0;

    /// Is an exception handled, or on its way, in the code that runs?
    bool handles_exceptions() const noexcept { return entered_on_->exceptions->any(); }

    /// The two halves of `enter`.
    GREENBACK_SWITCH_PATH void is_going_in(thread_state& thread) noexcept {
        is_going_in_without_exceptions(thread);
        exchange_exceptions(thread); // at the end: nothing but `this` need survive the call that this may make
    }
    GREENBACK_SWITCH_PATH void is_going_in_without_exceptions(thread_state& thread) noexcept {
        GREENBACK_ASSERT(own_fiber().is_out() && !done() && &thread == &this_thread());
        entered_on_ = &thread;
        outer_ = thread.current;
        thread.current = this;
    }
    GREENBACK_SWITCH_PATH void has_come_out() noexcept {
        thread_state& thread = *entered_on_;
        GREENBACK_ASSERT(own_fiber().is_out() && &thread == &this_thread() && thread.current == this);
        thread.current = outer_;
        exchange_exceptions(thread);
    }

    /// Are there any to be exchanged?
    GREENBACK_SWITCH_PATH bool has_exceptions(thread_state const& thread) const noexcept {
        return exception_state::either(*thread.exceptions, exceptions_);
    }

    // The first three are written by `enter` and its halves.
    exception_state exceptions_;  ///< the fiber's, while it is out; the resumer's, while it is in
    thread_state* entered_on_;    ///< the thread whose fiber this is while it is in
    after_suspend after_suspend_; ///< written by the fiber before it goes out, read by its resumer
    portal_base* outer_;          ///< the portal whose fiber the resumer is on, while this one is in; or null
    /// At first `unprepared_kind`; written by `prepare`: that of its executor; by `forbid` and `allow`: a scope's, and
    /// what was there before; by `abandon`: `abandoned_kind`.
    portal_kind const* kind_;

private:
    GREENBACK_SWITCH_PATH bool has_come_out_new() noexcept {
        GREENBACK_ASSERT(own_fiber().is_out() && entered_on_ == &this_thread() && entered_on_->current == this);
        entered_on_->current = nullptr;
        if (done())
            return true; // what handled exceptions on the fiber has returned
        exceptions_ = std::exchange(*entered_on_->exceptions, exception_state());
        return false;
    }

    GREENBACK_SWITCH_PATH void exchange_exceptions(thread_state& thread) noexcept {
        if (has_exceptions(thread)) [[unlikely]]
            swap_exceptions(*thread.exceptions, exceptions_);
    }
    GREENBACK_COLD static void swap_exceptions(exception_state& a, exception_state& b) noexcept { std::swap(a, b); }
};

/// The code that is awaited meanwhile does not see what exceptions the awaiting code handles, or is being unwound by.
class exceptions_set_aside {
public:
    explicit exceptions_set_aside(portal_base& portal) noexcept
        : portal_(portal), state_(std::exchange(*portal.entered_on().exceptions, exception_state())) {}
    exceptions_set_aside(exceptions_set_aside const&) = delete;
    ~exceptions_set_aside() {
        exception_state& now = *portal_.entered_on().exceptions; // of the thread the fiber is on by now
        now = {state_.caught, state_.uncaught + now.uncaught};   // `abandoned` may be on its way out of here
    }

private:
    portal_base& portal_;
    exception_state const state_;
};

} // namespace greenback::detail
