// SPDX-License-Identifier: MIT
// The portal itself: a fiber that pumps its task's own coroutine frames.
//
// A task is a stack of frames. Where Asio pumps it, a frame runs on the thread's stack and may suspend only itself.
// Where a portal pumps it, a frame (or plain synchronous code in its place) runs on the fiber, and `await_` pushes the
// awaited coroutine on the task's stack and pumps on until it is popped:
//
//     entry frame      pumped by Asio, never by a fiber
//     ...              whatever the task awaits on its way here: suspended
//     base             the frame below the portal: suspended
//     -------------------------------------------------------------------------- above this line: on the fiber
//     body             a frame whose code runs: it called synchronous code, which called await_
//     awaited          pushed by await_
//     ...              what that awaits
//     top              suspended in an operation
//
// When `top` suspends in an operation of Asio's, the fiber goes out. Asio will later resume `top`, or its caller where
// the operation's handler pops a frame of its own first, by the coroutine handle in it. Both handles are therefore
// exchanged for that of the *trampoline*, a small coroutine whose suspension enters the fiber; once back in, the fiber
// puts them back, strictly last in first out. The handle of a body is exchanged for as long as await_ lasts, so that
// whoever destroys the task, outermost frame first, meets the trampoline before a frame that is not suspended at all
// but runs on the fiber.
//
// Where the portal runs a function, the body of that function's frame is its own trampoline: its handle leads there
// anyway. That is the case `await` is made for; what a coroutine on the fiber calls goes through `await_slow`.
//
// The trampoline enters the fiber from inside its `await_suspend`, when it counts as suspended. Since Asio 1.24 what is
// to be initiated is left to Asio until the trampoline's `resume()` has returned. Before, the operation is under way by
// then, so the trampoline may be resumed again, on another thread, while the thread before is still on its way out.
#pragma once

#include <greenback/detail/portal/any_portal.hpp>
#include <greenback/detail/task/cancelled_task.hpp>
#include <greenback/detail/task/task_pump.hpp>

#include <coroutine>
#include <optional>
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

    /// The portal on whose fiber the frame `f` runs: one of the same task, in force on this thread. Null: there is none.
    GREENBACK_SWITCH_PATH static portal_core* find_runner(thread_state& here, frame& f) noexcept {
        portal_base* const p = here.current;
        if (!p) [[likely]]
            return nullptr;
        p->ensure_prepared();
        if (p->backend() != GREENBACK_BACKEND || !same_type(p->executor_type(), typeid(Executor)))
            return nullptr;
        auto* const core = static_cast<portal_core*>(p);
        return core->task.entry == frames::attached_thread(f)->entry_point() ? core : nullptr;
    }

    /// From the trampoline's await_suspend: go on with the fiber. @returns whether the trampoline stays suspended.
    GREENBACK_IN_AWAIT_SUSPEND bool resume_from_trampoline() noexcept {
        return task_pump<Executor>::enter_from_trampoline(this);
    }

    GREENBACK_OUT_OF_LINE void resume_from_operation() override {
        frame* const f = top();
        f->attach_thread(&held_.task());
        f->clear_cancellation_slot();
        continue_held_task();
    }

    void drop_from_operation() noexcept override {
        task.begin_out(); // it is, since before the operation was initiated
        // Asio's destructor posts the destruction of the task to its executor.
        thread owner(std::move(held_.task()));
    }

    /// The task is destroyed while the fiber waits: unwind it. Every await_ on it, the one that waits first, throws
    /// `abandoned` from now on, until its function has returned. Never on the fiber itself.
    void abandon() noexcept {
        task.wait_until_out();
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

    /// The meaning of `co_await std::move(x)` in the frame whose code runs. `x` stays the owner until it is over.
    /// @pre `find_portal()` is this
    template <class T> GREENBACK_SWITCH_PATH T await(asio::awaitable<T, Executor>& x) {
        frame* const body = top();
        if (body != task.swap.base || is_cancelled() || handles_exceptions()) [[unlikely]]
            return await_slow(x);
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

    // ---- for the pump, which is a part of this -------------------------------------------------------------------------

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

    /// The operation that was to be started lets the fiber go on at once.
    void resume_from_after_suspend() {
        top()->attach_thread(&held_.task());
        continue_held_task();
    }

    task_pump<Executor> task; ///< the task that the portal is for, and what pumps it

protected:
    using pump = task_pump<Executor>;

    explicit portal_core(thread_state& here) noexcept : any_portal(here) {}
    /// @pre the job is done: `abandon` it, if it is not
    ~portal_core() = default;

    /// Is `f` the frame of the function that the portal runs? Otherwise it is a coroutine's that runs on the fiber.
    virtual bool is_function(frame& f) const noexcept = 0;
    /// The fiber's job has ended where an operation's handler had resumed it.
    virtual void end_from_operation() noexcept = 0;

    /// What `await_` and operations need to know, from a frame of the task.
    void prepare_for(frame& at, std::coroutine_handle<> trampoline) noexcept {
        task.attach(at, trampoline);
        state_ = &private_access::state(*task.entry);
        executor_ = &private_access::executor(*task.entry);
        after_suspend_.run = nullptr;
        where_ = std::source_location();
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

    /// The task goes on, attached to `held_`, and nothing of it is further down this stack. What the operation it
    /// awaits next throws when it is initiated, and what the task's completion handler throws, leaves by here.
    GREENBACK_SWITCH_PATH void continue_held_task() {
        portal_core* self = this;
        if (!run(self, &held_.task(), this_resumer()))
            return;
        // Over. What follows may destroy this portal, so the task must not be held by it.
        thread owner(std::move(self->held_.task()));
        self->top()->attach_thread(&owner);
        self->end_from_operation();
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
        private_access::frame(x)->push_frame(body);
        bool ok;
        {
            struct set_aside {
                portal_core& portal;
                exception_state mine = std::exchange(*portal.entered_on_->exceptions, exception_state());
                ~set_aside() {
                    exception_state& now = *portal.entered_on_->exceptions; // of the thread the fiber is on by now
                    now = {mine.caught, mine.uncaught + now.uncaught};      // `abandoned` may be on its way out of here
                }
            } const exceptions{*this};
            running_frame<Executor> const waiting(*body, task.swapped);
            struct level {
                handle_swap<Executor>& now;
                handle_swap<Executor> const outer;
                ~level() { now = outer; }
            } const outer{task.swap, task.swap};
            task.swap.caller = nullptr;
            task.swap.base = body;
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
            throw_no_portal(where_, no_portal_because::initiating);
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
        if (is_function(body))
            return; // no coroutine is in between
        if (!*cancelled_task_)
            cancelled_task_->emplace(private_access::executor(*task.entry));
        (*cancelled_task_)->attach(body);
    }

    bool hold_task() noexcept override {
        frame* const body = top();
        if (body != task.swap.base) [[unlikely]]
            return false;
        held_.hold(*body->detach_thread());
        return true;
    }

    void suspend_for_operation_in_coroutine(after_suspend todo) override {
        frame* const body = top();
        if (!frames::attached_thread(*body))
            throw_no_portal(where_, no_portal_because::initiating);
        {
            running_frame<Executor> const waiting(*body, task.swapped);
            held_.hold(*body->detach_thread());
            after_suspend_ = todo;
            switch_out(own_fiber());
        }
        if (abandoned()) {
            attach_cancelled_task(*body);
            throw_abandoned();
        }
    }

    frame* top() const noexcept { return task.top(); }

    std::optional<cancelled_task<Executor>>* cancelled_task_; ///< during `abandon`; made when it is needed
    held_task<Executor> held_;                                ///< the task, while an operation of ours owns it
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
