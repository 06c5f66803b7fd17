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
#include <greenback/detail/task/handle_swap.hpp>
#include <greenback/detail/task/initiation_gate.hpp>

#include <coroutine>
#include <cstring>
#include <new>
#include <optional>
#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

template <class Executor> class portal_core final : public any_portal {
public:
    using frame = frame_base<Executor>;
    using thread = task_thread<Executor>;
    using entry = entry_frame<Executor>;
    using frames = frame_access<Executor>;
    using threads = thread_access<Executor>;
#if GREENBACK_ASIO_VERSION >= 102400
    using resume_context = typename frames::resume_context;
#endif

    /// For a function that is the body of frame `own`, of the task that runs it.
    portal_core(frame& own, thread_state& here) noexcept : any_portal(here) {
        static_assert(sizeof(portal_core) <= sizeof(fiber::portal_memory) && alignof(portal_core) <= 16);
        swap_.base = &own;
    }

    /// For the task that runs frame `at`, from that on; trampoline `t` leads here.
    portal_core(frame& at, std::coroutine_handle<> t, thread_state& here) noexcept : any_portal(here) {
        prepare(at, t);
        runs_function_ = false;
        gate_.set_out();
        exceptions_ = exception_state();
        swapped_.outermost = nullptr;
    }

    /// @pre the job is done: `abandon` it, if it is not
    ~portal_core() = default;

    // ---- the task side -------------------------------------------------------------------------------------------

    void prepare() noexcept override {
        frame& own = *swap_.base;
        prepare(own, frames::coroutine(own));
        swapped_.outermost = &own;
        runs_function_ = true;
        gate_.set_in();
    }

    /// Is a portal of this very task in force where the frame `f` runs? Only then is `f` running on its fiber.
    GREENBACK_SWITCH_PATH static portal_core* in_force(thread_state& here, frame& f) noexcept {
        portal_base* const p = here.current;
        if (!p) [[likely]]
            return nullptr;
        if (!p->is_prepared())
            p->prepare();
        if (p->backend() != GREENBACK_BACKEND || !same_type(p->executor_type(), typeid(Executor)))
            return nullptr;
        auto* const core = static_cast<portal_core*>(p);
        return core->entry_ == frames::attached_thread(f)->entry_point() ? core : nullptr;
    }

    /// From the trampoline's await_suspend: go on with the fiber. @returns whether the trampoline stays suspended.
    GREENBACK_IN_AWAIT_SUSPEND bool run_from_trampoline() noexcept {
#if GREENBACK_ASIO_VERSION >= 102400
        frame& resumed = *top();
        resumed_context_ = frames::context(resumed);
        portal_core* self = this;
        owner_ = frames::attached_thread(resumed);
        if (portal_base::enter(self, this_resumer()))
            return false;
        return self->leave_to(*self->resumed_context_), true;
#else
        if (gate_.is_in()) [[unlikely]]
            return run_early();
        return run_again();
#endif
    }

    // The same for the first time, for a function, in two steps: go in by `enter_new` if its precondition holds, or
    // else by this; and then, if the job is not over, `leave_first`. @returns whether it is over; whether it stays
    // suspended
    bool enter_new_slow(thread_state& here) noexcept {
        exceptions_ = exception_state();
        portal_core* self = this;
        return portal_base::enter(self, here);
    }
#if GREENBACK_ASIO_VERSION >= 102400
    /// @param own the function's frame, which is being resumed
    bool leave_first(frame& own) noexcept { return leave_to(*frames::context(own)), true; }
    static constexpr bool must_resume() noexcept { return false; }
#else
    bool leave_first(frame&) noexcept { return !leave(false) || must_resume(); }

    /// The job is over. If nobody has resumed the trampoline in the midst of its await_suspend, it goes on as if it had
    /// never suspended. @returns whether it stays suspended
    GREENBACK_SWITCH_PATH bool must_resume() noexcept {
        if (!resumed_again_) [[likely]]
            return false;
        swapped_.trampoline().resume();
        return true;
    }
#endif

    GREENBACK_OUT_OF_LINE void resume_from_operation() override {
        frame* f = top();
        f->attach_thread(&held_task());
        f->clear_cancellation_slot();
        continue_held_task();
    }

    /// The task goes on, attached to `held_task()`, and nothing of it is further down this stack. What the operation it
    /// awaits next throws when it is initiated, and what the task's completion handler throws, leaves by here.
    GREENBACK_SWITCH_PATH void continue_held_task() {
        portal_core* self = this;
        if (!run_fiber(self, &held_task(), this_resumer()))
            return;
        // Over. What follows may destroy this portal, so the task must not be held by it.
        thread task(std::move(self->held_task()));
        self->top()->attach_thread(&task);
        if (!self->runs_function_)
            self->swapped_.trampoline().resume();
        threads::run(task);
    }

    void drop_from_operation() noexcept override {
        gate_.set_out(); // it is, since before the operation was initiated
        // Asio's destructor posts the destruction of the task to its executor.
        thread task(std::move(held_task()));
    }

    /// The task is destroyed while the fiber waits: unwind it. Every await_ on it, the one that waits first, throws
    /// `abandoned` from now on, until its function has returned. Never on the fiber itself.
    void abandon() noexcept {
        if constexpr (initiates_while_suspending) {
            if (gate_.is_in()) [[unlikely]]
                gate_.wait_until_out(); // an operation's handler was destroyed before its initiation had returned
        }
        abandoned_ = true;
        kind_ = &abandoned_kind;
        owner_ = &held_task(); // owns nothing
        std::optional<cancelled_task<Executor>> instead;
        cancelled_task_ = &instead;
        portal_core* self = this;
        while (!portal_base::enter(self, this_thread())) {
        }
        cancelled_task_ = nullptr;
    }

    /// The outermost frame whose handle leads to the trampoline: the one by which the task's destruction got here.
    frame* destroyed_first() const noexcept { return swapped_.outermost; }
    Executor& task_executor() noexcept { return private_access::executor(*entry_); }
    asio::any_io_executor executor() const override { return private_access::executor(*entry_); }
    asio::cancellation_slot parent_slot() const noexcept override { return private_access::parent_slot(*entry_); }
    bool& throws_if_cancelled() noexcept override { return private_access::throw_if_cancelled(*entry_); }

    // ---- the fiber side ------------------------------------------------------------------------------------------

    bool serving() const noexcept override {
        return !abandoned_ && frames::attached_thread(*top()) && !runs_inline_on(own_fiber());
    }

    /// The meaning of `co_await std::move(x)` in the frame whose code runs. `x` stays the owner until it is over.
    /// @pre `find_portal()` is this
    template <class T> GREENBACK_SWITCH_PATH T await(asio::awaitable<T, Executor>& x) {
        frame* const body = top();
        if (body != swap_.base || is_cancelled() || handles_exceptions()) [[unlikely]]
            return await_slow(x);
        frame& f = *private_access::frame(x);
        f.push_frame(body);
        if (!step_on_base(f)) [[unlikely]]
            leave_abandoned(*body, x);
        if (top() != body) [[unlikely]]
            await_rest(x);
        return x.await_resume();
    }

    /// Under a task-wide portal the fiber's whole job: pump the task until `base` is on top.
    void pump_task(frame& base) {
        swap_.base = &base;
        pump<true>();
    }

    /// The handle of `f`, the frame being resumed, changes for good; it may be exchanged at the moment.
    void replace_handle(frame& f, std::coroutine_handle<> from, std::coroutine_handle<> to) noexcept {
        if (frames::coroutine(f) == from)
            frames::coroutine(f) = to;
        else
            swap_.top_coroutine = to.address();
    }

    bool hold_task() noexcept override {
        frame* const body = top();
        if (body != swap_.base) [[unlikely]]
            return false;
        hold_task(*body);
        return true;
    }

    void suspend_for_operation_in_coroutine(after_suspend todo) override {
        frame* const body = top();
        if (!frames::attached_thread(*body))
            throw_no_portal(where_, no_portal_because::initiating);
        {
            running_frame<Executor> const waiting(*body, swapped_);
            hold_task(*body);
            after_suspend_ = todo;
            switch_out(own_fiber());
        }
        if (abandoned_) {
            attach_cancelled_task(*body);
            throw_abandoned();
        }
    }

private:
    void prepare(frame& at, std::coroutine_handle<> t) noexcept {
        owner_ = frames::attached_thread(at);
        entry_ = owner_->entry_point();
        state_ = &private_access::state(*entry_);
        executor_ = &private_access::executor(*entry_);
        swapped_.trampoline_address = t.address();
        swap_.caller = nullptr;
        after_suspend_.run = nullptr;
        abandoned_ = false;
        where_ = std::source_location();
        std::memset(&held_task_, 0, sizeof held_task_);
        kind_ = &kind_of_portal<Executor>;
    }

    GREENBACK_SWITCH_PATH bool is_cancelled() const noexcept {
        return !!private_access::state(*entry_).cancelled() && private_access::throw_if_cancelled(*entry_);
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
            running_frame<Executor> const waiting(*body, swapped_);
            struct level {
                handle_swap<Executor>& now;
                handle_swap<Executor> const outer;
                ~level() { now = outer; }
            } const outer{swap_, swap_};
            swap_.caller = nullptr;
            swap_.base = body;
            ok = pump<false>();
        }
        if (!ok) [[unlikely]]
            leave_abandoned(*body, x);
        return x.await_resume();
    }

    /// `x` has not ended with its first step.
    template <class T> GREENBACK_OUT_OF_LINE void await_rest(asio::awaitable<T, Executor>& x) {
        frame* const body = swap_.base;
        if (!pump<false>()) [[unlikely]]
            leave_abandoned(*body, x);
    }

    /// @throws what keeps `x` from being awaited, having destroyed it unrun
    template <class T> [[noreturn]] GREENBACK_COLD void refuse(asio::awaitable<T, Executor>& x) {
        asio::awaitable<T, Executor> const destroyed(std::move(x));
        if (!frames::attached_thread(*top()))
            throw_no_portal(where_, no_portal_because::initiating);
        throw_cancelled();
    }

    /// The task is being destroyed: destroy what was awaited, and go on unwinding in `body`.
    template <class T> [[noreturn]] GREENBACK_COLD void leave_abandoned(frame& body, asio::awaitable<T, Executor>& x) {
        {
            asio::awaitable<T, Executor> destroyed_first = std::move(x);
        }
        attach_cancelled_task(body);
        throw_abandoned();
    }

    void attach_cancelled_task(frame& body) {
        if (runs_function_ && &body == swap_.base)
            return; // no coroutine is in between: the body is the portal's function
        if (!*cancelled_task_)
            cancelled_task_->emplace(private_access::executor(*entry_));
        (*cancelled_task_)->attach(body);
    }

    void hold_task(frame& body) noexcept {
        thread* const owner = body.detach_thread();
        if (owner != &held_task())
            new (&held_task_) thread(std::move(*owner));
    }

    frame* top() const noexcept { return private_access::top_of_stack(*entry_); }
    thread& held_task() noexcept { return *std::launder(reinterpret_cast<thread*>(&held_task_)); }
    thread& left() noexcept { return *std::launder(reinterpret_cast<thread*>(&left_)); }

    /// Run the fiber, and what it leaves to be done, until it has suspended or its job is over.
    /// @param origin where the task's owner stands if it is given back without having been away
    /// @param here this thread
    /// @returns whether the job is over; if not, the portal may be gone
    GREENBACK_SWITCH_PATH static bool run_fiber(portal_core*& self, thread* origin, thread_state& here) {
        self->owner_ = origin;
        bool const over = portal_base::enter(self, here);
        return self->leave(over);
    }

    /// The fiber has come out. @param over whether its job is
    GREENBACK_SWITCH_PATH bool leave(bool over) noexcept(initiates_while_suspending) {
        while (!over) {
            if (after_suspend const todo = after_suspend_; todo.run) {
                after_suspend_.run = nullptr;
                if (!todo.run(todo.argument)) [[likely]]
                    return false;
                over = go_on(held_task());
            } else {
#if GREENBACK_ASIO_VERSION >= 102400
                resume_context const initiation = initiation_; // the portal may be gone before this returns
                initiation.after_suspend_fn_(initiation.after_suspend_arg_);
                return false;
#else
                if (!gate_.set_out()) [[likely]]
                    return false;
                over = go_on(left());
#endif
            }
        }
        return true;
    }

#if GREENBACK_ASIO_VERSION >= 102400

    /// The fiber has come out, in the trampoline's await_suspend, with something to be initiated. Leave it where Asio
    /// looks for what the frame it resumes wants to have initiated: it does so when the trampoline's `resume()` has
    /// returned. Then nothing of the trampoline is running any more, an exception leaves as from a coroutine of Asio's
    /// own, and the operation may be over before the initiation returns.
    GREENBACK_SWITCH_PATH void leave_to(resume_context& context) noexcept {
        if (after_suspend_.run) [[unlikely]]
            context = {&run_after_suspend, this};
        else
            context = initiation_;
    }

    static void run_after_suspend(void* self) {
        auto& portal = *static_cast<portal_core*>(self);
        after_suspend const todo = std::exchange(portal.after_suspend_, after_suspend());
        if (!todo.run(todo.argument)) [[likely]]
            return;
        portal.top()->attach_thread(&portal.held_task());
        portal.continue_held_task();
    }

#endif

    /// The task has come back already, on this very thread. @param from who has it
    GREENBACK_COLD bool go_on(thread& from) noexcept {
        take_back(*owner_, from);
        portal_core* self = this;
        return portal_base::enter(self, *entered_on_);
    }

    void take_back(thread& to, thread& from) noexcept {
        if (&to != &from)
            threads::bottom(to) = std::move(threads::bottom(from));
        top()->attach_thread(&to);
    }

    /// Resume the frame on top again and again, until the base is.
    /// @returns false if the task is being destroyed instead
    template <bool TaskWide> GREENBACK_SWITCH_PATH bool pump() {
        do {
            if (!step<TaskWide>(*top())) [[unlikely]]
                return false;
        } while (top() != swap_.base);
        return true;
    }

#if GREENBACK_ASIO_VERSION >= 102400

    /// Resume the frame on top. Where it suspends in an operation, go out and have the operation initiated out there.
    template <bool TaskWide> GREENBACK_SWITCH_PATH bool step(frame& f) {
        typename frames::resume_context context;
        frames::resume(f, context);
        if (!context.after_suspend_fn_) [[likely]]
            return !abandoned_;
        if (abandoned_)
            return false; // nothing is started for a task that is being destroyed
        swap_.template swap<TaskWide>(swapped_, *top());
        initiation_ = context;
        switch_out(own_fiber());
        swap_.template swap_back<TaskWide>(swapped_);
        return !abandoned_;
    }
    /// The same for a frame just pushed.
    GREENBACK_SWITCH_PATH bool step_on_base(frame& f) { return step<false>(f); }

#else

    /// Resume the frame on top. It may initiate an operation before it has returned, and another thread may resume the
    /// task at any moment after that: so the handles are exchanged before, and `gate_` keeps that thread out until the
    /// fiber is.
    template <bool TaskWide> GREENBACK_SWITCH_PATH bool step(frame& f) {
        swap_.template swap<TaskWide>(swapped_, f).resume();
        bool const ok = threads::owns(*owner_) || wait();
        swap_.template swap_back<TaskWide>(swapped_);
        return ok;
    }
    /// The same for a frame just pushed on the base.
    GREENBACK_SWITCH_PATH bool step_on_base(frame& f) {
        swap_.swap_on_base(swapped_, f).resume();
        if (threads::owns(*owner_)) {
            swap_.swap_back_on_base();
            return true;
        }
        bool const ok = wait();
        swap_.template swap_back<false>(swapped_); // no longer of `f` if it completed inline meanwhile
        return ok;
    }

    /// An operation has the task: go out until it is over. @returns false if the task is being destroyed instead
    GREENBACK_SWITCH_PATH bool wait() noexcept {
        if (!abandoned_) [[likely]]
            switch_out(own_fiber());
        return !abandoned_;
    }

    GREENBACK_SWITCH_PATH bool run_again() noexcept {
        gate_.set_in();
        resumed_again_ = false;
        portal_core* self = this;
        return !run_fiber(self, frames::attached_thread(*top()), this_resumer()) || self->must_resume();
    }

    GREENBACK_OUT_OF_LINE bool run_early() noexcept { return !goes_on_here() || run_again(); }

    /// The trampoline was resumed while the fiber is still in. @returns whether this thread goes on with it
    GREENBACK_OUT_OF_LINE bool goes_on_here() noexcept {
        thread_state& here = this_thread();
        if (&here == entered_on_)
            resumed_again_ = true;
        if (here.current == this && own_fiber().holds(__builtin_frame_address(0)))
            return complete_inline(), false;
        if (&here != entered_on_)
            return gate_.wait_until_out(), true;
        // This very thread, further up its stack than the fiber's resumer: the fiber can't come out before we return.
        thread* const owner = top()->detach_thread();
        new (&left_)
            thread(std::move(*owner)); // not into `held_task_`: that may be the owner whom `step` asks for the task
        gate_.leave_task();
        return false;
    }

    /// On the fiber itself: an operation has completed inside its own initiation (`dispatch`). Run the task on from
    /// here, where its handler runs (inside the strand, if it is one), as Asio would; then hand it to the step further
    /// out.
    void complete_inline() noexcept {
        if (swapped_.outermost == swap_.top || swapped_.outermost == swap_.caller)
            complete_inline_above<true>();
        else
            complete_inline_above<false>();
    }

    /// What is exchanged belongs to the step that runs below this on the fiber; it will go out, or go on, from there.
    template <bool TaskWide> void complete_inline_above() noexcept {
        handle_swap<Executor>& x = swap_;
        thread* const outer = owner_;
        thread* const here = frames::attached_thread(*top());
        owner_ = here;
        x.template swap_back<TaskWide>(swapped_);
        for (frame* f = top(); f != x.base; f = top()) {
            x.template swap<TaskWide>(swapped_, *f).resume();
            if (!threads::owns(*owner_)) {
                if (owner_ == here)
                    owner_ = outer;
                return;
            }
            x.template swap_back<TaskWide>(swapped_);
        }
        x.clear();
        if (owner_ != here)
            return; // the fiber was out meanwhile: somebody else owns the task now
        owner_ = outer;
        take_back(*outer, *here);
    }

#endif

    entry* entry_;                     ///< the task
    swapped_frames<Executor> swapped_; ///< the frames whose handles lead to the trampoline
    handle_swap<Executor> swap_;       ///< of the innermost step
    thread* owner_;                    ///< who owned the task when the fiber was last entered. Written by whoever does.
    std::optional<cancelled_task<Executor>>* cancelled_task_; ///< during `abandon`; made when it is needed
    bool runs_function_;                                      ///< or else it pumps the task
    initiation_gate gate_;                                    ///< Asio before 1.24 only
#if GREENBACK_ASIO_VERSION >= 102400
    resume_context* resumed_context_; ///< of the frame in whose place the trampoline was resumed last. Written by that.
    resume_context initiation_; ///< what a frame on the fiber has left to be initiated: from `step` to the resumer
#else
    /// The trampoline was resumed, since this visit of the fiber began. Written by `goes_on_here`.
    bool resumed_again_ = false;
#endif
    alignas(
        thread) unsigned char held_task_[sizeof(thread)]; ///< the task, while an operation of our own owns it; or zero
    alignas(thread) unsigned char left_[sizeof(thread)];  ///< the task, from `goes_on_here` to `go_on`
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
