// SPDX-License-Identifier: MIT
// The portal itself: a fiber that pumps its task's own coroutine frames (the picture of those is in pumped_task.hpp).
//
// The states of a portal, and what its fields mean there. A dash: nothing, nobody reads it. `new` comes before the
// constructor's work is done: most portals never await, so it is left to the first who asks, by `prepare`.
//
//   state      kind          the fiber is      task.owner          held_              who may write
//   new        unprepared    in                -                   -                  code on the fiber: prepare()
//   ready      executor's    out, never was in who pumps the task  empty              the trampoline's first step
//   in         executor's    in                who had the task    empty, or it is    code on the fiber
//                                              when it went in     that owner
//   out        executor's    out, waiting for  the same (1)        empty (2)          nobody, until Asio resumes the
//                            Asio, or dropped                                         trampoline or destroys it
//   held       executor's    out, in an        the same (1)        has the task (3)   the operation's handler: called,
//                            operation of ours                                        or destroyed uncalled
//   abandoned  abandoned     in                held_               empty              abandon(), and code on the fiber
//   done       any           out for good      any                 any                who entered it last: ends it
//
//   (1) Valid until `come_out` has returned: `reenter` gives it the task back. Nobody reads it later.
//   (2) Since Asio 1.24 the operation has not been initiated yet when the fiber comes out. Until it is, the task is
//       attached to its owner still, which may be `held_`.
//   (3) The top frame is attached to nobody, so that code which the initiation runs inside another portal of the task
//       is told that it can't await; or to `held_`, if `holds_task_` says that it was so before: then the task was not
//       resumed from another portal.
//
//   new ──> in ──> done     in ──> out ──> in      held ──> out: the operation's handler was destroyed uncalled
//   ready ──> in            in ──> held ──> in     out ──> abandoned ──> done: the task is being destroyed
//
//   Which handles lead to the trampoline: those of running frames, always (a function's frame is one); in `out` also
//   that of the top frame, and that of its caller unless this is the base; before Asio 1.24 during each step, too.
//
//   Before Asio 1.24 the fiber may still be in, on its way to `out`, while the task is resumed already: that is for the
//   gate to tell, see pump_before_1_24.hpp. It says out in `ready` and `out`, in in `in` and `held`.
#pragma once

#include <greenback/detail/config.hpp>
#include <greenback/detail/portal/any_portal.hpp>
#include <greenback/detail/task/cancelled_task.hpp>
#include <greenback/detail/task/task_pump.hpp>

#include <coroutine>
#include <optional>
#include <source_location>
#include <typeinfo>
#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// What the two portals have in common: `function_portal`, `coroutine_portal`.
template <class Executor> class portal_core : public any_portal {
public:
    using frame = frame_base<Executor>;
    using thread = task_thread<Executor>;
    using frames = frame_access<Executor>;
    using threads = thread_access<Executor>;

    // ---- the task side -------------------------------------------------------------------------------------------

    /// The portal on whose fiber the frame `f` runs: one of the same task, in force on this thread. Null if there is
    /// none.
    GREENBACK_SWITCH_PATH static portal_core* find_runner(thread_state& here, frame& f) noexcept {
        portal_base* const p = here.current;
        if (!p) [[likely]]
            return nullptr;
        p->ensure_prepared();
        portal_kind const& kind = p->kind_when_allowed(); // it runs the frame, whether that may await or not
        if (kind.backend != GREENBACK_BACKEND || !same_type(*kind.executor_type, typeid(Executor)))
            return nullptr;
        auto* const core = static_cast<portal_core*>(p);
        return core->task.entry == frames::attached_thread(f)->entry_point() ? core : nullptr;
    }

    /// From the trampoline's await_suspend: go on with the fiber. @returns whether the trampoline stays suspended.
    GREENBACK_IN_AWAIT_SUSPEND bool resume_from_trampoline() noexcept {
        return task_pump<Executor>::enter_from_trampoline(this);
    }

    void drop_from_operation() noexcept override {
        GREENBACK_ASSERT(is(state::held));
        task.begin_out(); // the fiber is out, since before the operation was initiated
        frames::attached_thread(*top()) = nullptr;
        // Asio's destructor posts the destruction of the task to its executor.
        thread owner(std::move(held_.task()));
    }

    /// The task is destroyed while the fiber waits: unwind it. Every await_ on it, the one that waits first, throws
    /// `abandoned` from now on, until its function has returned. Never on the fiber itself.
    void abandon() noexcept {
        task.wait_until_out();
        GREENBACK_ASSERT(is(state::out));
        forget_scopes();
        kind_ = &abandoned_kind;
        task.owner = &held_.task(); // owns nothing
        std::optional<cancelled_task<Executor>> instead;
        cancelled_task_ = &instead;
        portal_core* self = this;
        while (!portal_base::enter(self, this_thread())) {
        }
        cancelled_task_ = nullptr;
    }

    Executor& task_executor() noexcept { return private_access::executor(*task.entry); }
    asio::any_io_executor executor() const override { return private_access::executor(*task.entry); }
    asio::cancellation_slot parent_slot() const noexcept override { return private_access::parent_slot(*task.entry); }
    bool& throws_if_cancelled() noexcept override { return private_access::throw_if_cancelled(*task.entry); }

    // ---- the fiber side ------------------------------------------------------------------------------------------

    bool serving() const noexcept override { return !abandoned() && frames::attached_thread(*top()); }
    bool in_function() const noexcept override { return is_function(*top()); }

    /// The meaning of `co_await std::move(x)` in the frame whose code runs. `x` stays the owner until it is over.
    /// @pre `find_portal()` is this
    template <class T> GREENBACK_SWITCH_PATH T await(asio::awaitable<T, Executor>& x) {
        holds_task_ = false;
        frame* const body = top();
        if (body != task.swap.base || is_cancelled() || handles_exceptions()) [[unlikely]]
            return await_slow(x);
        GREENBACK_ASSERT(is(state::in));
        frame& f = *private_access::frame(x);
        f.push_frame(body);
        if (!task.step_on_base(*this, f)) [[unlikely]]
            unwind_from(*body, x);
        if (top() != body) [[unlikely]]
            await_rest(x);
        return x.await_resume();
    }

    /// The handle of `f`, the frame being resumed, changes for good; it may be swapped at the moment.
    void replace_handle(frame& f, std::coroutine_handle<> from, std::coroutine_handle<> to) noexcept {
        if (frames::coroutine(f) == from)
            frames::coroutine(f) = to;
        else
            task.swap.top_coroutine = to.address();
    }

    // ---- for the pump, which is a part of this ----------------------------------------------------------------------

    /// The states that are asserted; `ready` counts as `out` here.
    enum class state { in, out, held, done };
    bool is(state s) noexcept;

    /// Run the fiber, and what it leaves to be done, until it has suspended or its job is over.
    /// @param owner where the task's owner stands if it is given back without having been away
    /// @param here this thread
    /// @returns whether the job is over; if not, the portal may be gone
    GREENBACK_SWITCH_PATH static bool run(portal_core*& self, thread* owner,
                                          thread_state& here) noexcept(initiates_while_suspending) {
        self->task.owner = owner;
        bool const over = portal_base::enter(self, here);
        return self->come_out(over);
    }

    /// The fiber has come out. Start what it waits for, and go in again as long as the task has come back by then.
    /// @param over whether its job is @returns whether it is by now; if not, the portal may be gone
    GREENBACK_SWITCH_PATH bool come_out(bool over) noexcept(initiates_while_suspending) {
        while (!over) {
            if (is_to_start_operation()) {
                GREENBACK_ASSERT(is(state::held));
                if (!start_operation()) [[likely]]
                    return false;
                over = reenter(held_.task());
            } else {
                thread* const early = task.come_out();
                if (!early) [[likely]]
                    return false;
                over = reenter(*early);
            }
        }
        return true;
    }

    /// The operation that was to be started lets the fiber go on at once. Nothing of the task is further down this
    /// stack: what the operation it awaits next throws when it is initiated, and what the task's completion handler
    /// throws, leaves by here.
    void resume_from_after_suspend() {
        GREENBACK_ASSERT(is(state::held));
        top()->attach_thread(&held_.task());
        portal_core* self = this;
        if (run(self, &held_.task(), this_resumer()))
            self->end_held_task();
    }

    task_pump<Executor> task; ///< the task that the portal is for, and what pumps it

protected:
    using pump = task_pump<Executor>;

    explicit portal_core(thread_state& here) noexcept : any_portal(here) {}
    /// @pre the job is done: `abandon` it, if it is not
    ~portal_core() { GREENBACK_ASSERT(is(state::done) && !forbidden_by()); }

    /// Is `f` the frame of the function that the portal runs? Otherwise it is a coroutine's that runs on the fiber.
    virtual bool is_function(frame& f) const noexcept = 0;
    /// The fiber's job has ended where an operation's handler had resumed it.
    virtual void end_from_operation() noexcept = 0;

    /// What `await_` and operations need to know, from a frame of the task.
    void prepare_for(frame& at, std::coroutine_handle<> trampoline) noexcept {
        GREENBACK_ASSERT(!is_prepared() && frames::attached_thread(at));
        task.attach(at, trampoline);
        cancellation_ = &private_access::state(*task.entry);
        executor_ = &private_access::executor(*task.entry);
        held_executor_type_ = nullptr;
        holds_task_ = false;
        after_suspend_.run = nullptr;
        site = std::source_location();
        held_.clear();
        kind_ = &kind_of_portal<Executor>;
    }

    /// Resume the frame on top again and again, until the base is.
    /// @returns false if the task is being destroyed instead
    template <bool TaskWide> GREENBACK_SWITCH_PATH bool pump_to_base() {
        do {
            if (!task.template step<TaskWide>(*this, *top())) [[unlikely]]
                return false;
        } while (top() != task.swap.base);
        return true;
    }

private:
    /// The task has come back already, on this very thread. @param from who has it
    GREENBACK_COLD bool reenter(thread& from) noexcept {
        task.give(*task.owner, from);
        portal_core* self = this;
        return portal_base::enter(self, *entered_on_);
    }

    /// Its fiber's job is over. What follows may destroy this portal, so the task must not be held by it.
    GREENBACK_OUT_OF_LINE void end_held_task() {
        thread owner(std::move(held_.task()));
        top()->attach_thread(&owner);
        end_from_operation();
        threads::run(owner);
    }

    GREENBACK_SWITCH_PATH bool is_cancelled() const noexcept {
        return !!private_access::state(*task.entry).cancelled() && private_access::throw_if_cancelled(*task.entry);
    }

    /// `await` in whatever state: the code that awaits may be a coroutine's, and it may be handling exceptions, or
    /// being unwound by one: the coroutine that is awaited must not see them.
    template <class T> GREENBACK_OUT_OF_LINE T await_slow(asio::awaitable<T, Executor>& x) {
        frame* const body = top();
        if (!frames::attached_thread(*body) || is_cancelled()) [[unlikely]]
            refuse(x);
        GREENBACK_ASSERT(is(state::in));
        private_access::frame(x)->push_frame(body);
        bool ok;
        {
            exceptions_set_aside const exceptions(*this);
            running_frame<Executor> const waiting(*body, task.swapped);
            nested_swap<Executor> const nested(task.swap, *body);
            ok = pump_to_base<false>();
        }
        if (!ok) [[unlikely]]
            unwind_from(*body, x);
        return x.await_resume();
    }

    /// `x` has not ended with its first step.
    template <class T> GREENBACK_OUT_OF_LINE void await_rest(asio::awaitable<T, Executor>& x) {
        frame* const body = task.swap.base;
        if (!pump_to_base<false>()) [[unlikely]]
            unwind_from(*body, x);
    }

    /// @throws what keeps `x` from being awaited, having destroyed it unrun
    template <class T> [[noreturn]] GREENBACK_COLD void refuse(asio::awaitable<T, Executor>& x) {
        asio::awaitable<T, Executor> const destroyed(std::move(x));
        if (!frames::attached_thread(*top()))
            throw_no_portal(site, no_portal_because::initiating);
        throw_cancelled();
    }

    /// The task is being destroyed: destroy what was awaited, and go on unwinding in `body`.
    template <class T> [[noreturn]] GREENBACK_COLD void unwind_from(frame& body, asio::awaitable<T, Executor>& x) {
        {
            asio::awaitable<T, Executor> destroyed_first = std::move(x);
        }
        attach_cancelled_task(body);
        throw_abandoned();
    }

    void attach_cancelled_task(frame& body) {
        GREENBACK_ASSERT(abandoned());
        if (is_function(body))
            return; // no coroutine is in between
        if (!*cancelled_task_)
            cancelled_task_->emplace(private_access::executor(*task.entry));
        (*cancelled_task_)->attach(body);
    }

    bool take_task_and_suspend(after_suspend todo) override {
        frame& body = *top();
        if (!frames::attached_thread(body))
            throw_no_portal(site, no_portal_because::initiating);
        GREENBACK_ASSERT(is(state::in));
        bool const own_function = &body == task.swap.base;
        bool* const has_suspended = private_access::has_suspended(*task.entry); // `detach_thread` says so
        bool const had_suspended = has_suspended && *has_suspended;
        bool over;
        if (own_function) {
            over = hold_and_suspend(body, todo);
        } else {
            running_frame<Executor> const waiting(body, task.swapped);
            over = hold_and_suspend(body, todo);
        }
        if (abandoned()) {
            attach_cancelled_task(body);
            throw_abandoned();
        }
        if (!over && has_suspended) // nothing was started
            *has_suspended = had_suspended;
        holds_task_ = over && own_function;
        return over;
    }

    /// @returns as `suspend_for_operation` does, but false also where the task is being destroyed
    bool hold_and_suspend(frame& body, after_suspend todo) {
        held_.hold(*body.detach_thread());
        after_suspend_ = todo;
        if (switch_out(own_fiber()) != operation_is_over)
            return false;
        body.attach_thread(&held_.task());
        task.owner = &held_.task();
        return true;
    }

    bool holds_task(bool fiber_is_in) noexcept override {
        bool const attached = frames::attached_thread(*top()) == &held_.task();
        return is(fiber_is_in ? state::in : state::held) &&
               (!holds_task_ || (top() == task.swap.base && attached && held_.is_holding()));
    }

    void come_out_of_resumption(bool not_started) override {
        if (come_out(not_started ? reenter(held_.task()) : done()))
            end_held_task();
    }

    frame* top() const noexcept { return task.top(); }

    std::optional<cancelled_task<Executor>>* cancelled_task_; ///< during `abandon`; made when it is needed
    held_task<Executor> held_;                                ///< the task, for the handler of an operation of ours
};

/// Does the table at the top of this file hold in state `s`? For assertions alone.
template <class Executor> bool portal_core<Executor>::is(state s) noexcept {
    bool const fiber_is_in = !own_fiber().is_out();
    switch (s) {
    case state::in:
        return is_prepared() && !abandoned() && fiber_is_in && !done() && frames::attached_thread(*top()) &&
               held_.is_holding() == (frames::attached_thread(*top()) == &held_.task());
    case state::out: return is_prepared() && !abandoned() && !fiber_is_in && !done() && !held_.is_holding();
    case state::held: return is_prepared() && !abandoned() && !fiber_is_in && !done() && held_.is_holding();
    case state::done: return !fiber_is_in && done();
    }
    return false;
}

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
