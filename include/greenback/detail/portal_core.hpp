// SPDX-License-Identifier: MIT
// The portal itself: a fiber that pumps its task's own coroutine frames.
//
// A task is a stack of frames. Where Asio pumps it, a frame runs on the thread's stack and may suspend only itself. Where
// a portal pumps it, a frame (or plain synchronous code in its place) runs on the fiber, and `await_` pushes the awaited
// coroutine on the task's stack and pumps on until it is popped:
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
// When `top` suspends in an operation of Asio's, the fiber goes out. Asio will later resume `top`, or its caller where the
// operation's handler pops a frame of its own first, by the coroutine handle in it. Both handles are therefore exchanged
// for that of the *trampoline*, a small coroutine whose suspension enters the fiber; once back in, the fiber puts them
// back, strictly last in first out. The handle of a body is exchanged for as long as await_ lasts, so that whoever destroys
// the task, outermost frame first, meets the trampoline before a frame that is not suspended at all but runs on the fiber.
//
// The trampoline enters the fiber from inside its `await_suspend`, when it counts as suspended. So it may be resumed
// again, on another thread, while the thread before is still on its way out.
#pragma once

#include <greenback/detail/asio_portal.hpp>
#include <greenback/detail/frame_exchange.hpp>
#include <greenback/detail/initiation_gate.hpp>
#include <greenback/detail/stand_in_task.hpp>

#include <coroutine>
#include <new>
#include <optional>
#include <utility>

/// For what runs inside a trampoline's `await_suspend` while somebody else may already resume it: nothing of it may live in
/// the coroutine's frame. clang before 17 may put it there when it is inlined (llvm-project issue 56301); a call prevents it.
#if defined(__clang__)
#define GREENBACK_IN_AWAIT_SUSPEND [[gnu::noinline]]
#else
#define GREENBACK_IN_AWAIT_SUSPEND [[gnu::always_inline]] inline
#endif

namespace greenback::detail {
inline namespace GREENBACK_BACKEND_NAMESPACE {

template <class Executor> class portal_core final : public asio_portal {
public:
    using frame = frame_base<Executor>;
    using thread = task_thread<Executor>;
    using entry = entry_frame<Executor>;
    using frames = frame_access<Executor>;
    using threads = thread_access<Executor>;

    portal_core() noexcept : asio_portal(&portal_key<Executor>, typeid(Executor), GREENBACK_BACKEND) {}

    /// The task is destroyed while the fiber waits, or the portal is over. Never on the fiber itself.
    ~portal_core() { abandon(); }

    // ---- the task side -------------------------------------------------------------------------------------------

    /// Is a portal of this very task in force where the frame `f` runs? Only then is `f` running on its fiber.
    [[gnu::always_inline]] static portal_core* in_force(thread_state& here, frame& f) noexcept {
        portal_base* const p = here.current;
        if (!p) [[likely]]
            return nullptr;
        if (!same_type(p->executor_type(), typeid(Executor)) || p->backend() != GREENBACK_BACKEND)
            return nullptr;
        auto* const core = static_cast<portal_core*>(p);
        return core->entry_ == frames::attached_thread(f)->entry_point() ? core : nullptr;
    }

    /// Prepare the fiber `f` to run `job(argument)` for the task that runs frame `at`, trampoline `t` leading to it.
    void start(fiber& f, void (*job)(void*), void* argument, frame& at, std::coroutine_handle<> t) noexcept {
        fiber_ = &f;
        all_.trampoline = t;
        entry_ = frames::attached_thread(at)->entry_point();
        state_ = &private_access::state(*entry_);
        parent_slot_ = &private_access::parent_slot(*entry_);
        throw_if_cancelled_ = &private_access::throw_if_cancelled(*entry_);
        executor_ = &private_access::executor(*entry_);
        f.job = job;
        f.argument = argument;
    }

    bool started() const noexcept { return entry_ != nullptr; }

    /// From the trampoline's await_suspend: go on with the fiber. @returns whether the trampoline stays suspended.
    GREENBACK_IN_AWAIT_SUSPEND bool run_from_trampoline() noexcept {
        if constexpr (initiates_while_suspending) {
            if (gate_.is_in() && !goes_on_here()) [[unlikely]]
                return true;
            gate_.set_in();
        }
        std::coroutine_handle<> const trampoline = all_.trampoline;
        unsigned const run = ++runs_;
        if (!run_fiber(frames::attached_thread(*top()), this_thread()))
            return true;
        if (runs_ == run)
            return false; // nobody else has resumed the trampoline meanwhile: it goes on as if it had never suspended
        trampoline.resume();
        return true;
    }

    /// The same for the first time: nobody else can resume the trampoline yet.
    GREENBACK_IN_AWAIT_SUSPEND bool run_first(thread_state& here) noexcept {
        if constexpr (initiates_while_suspending)
            gate_.set_in();
        std::coroutine_handle<> const trampoline = all_.trampoline;
        if (!run_fiber(frames::attached_thread(*top()), here)) [[unlikely]]
            return true;
        if (runs_ == 0) [[likely]]
            return false;
        trampoline.resume();
        return true;
    }

    struct trampoline_awaiter {
        portal_core* core;
        bool await_ready() const noexcept { return false; }
        GREENBACK_IN_AWAIT_SUSPEND bool await_suspend(std::coroutine_handle<>) const noexcept {
            return core->run_from_trampoline();
        }
        bool await_resume() const noexcept { return core->done(); }
    };
    /// What the trampoline awaits, again and again, until the answer is that it is done.
    trampoline_awaiter run() noexcept { return {this}; }

    void resume_parked() override {
        frame* f = top();
        f->attach_thread(&parked());
        f->clear_cancellation_slot();
        if (!run_fiber(&parked(), this_thread()))
            return;
        // Over. What follows may destroy this portal, so the task must not be held by it.
        thread task(std::move(parked()));
        top()->attach_thread(&task);
        if (ends_by_itself_)
            all_.trampoline.resume();
        threads::run(task);
    }

    void drop_parked() noexcept override {
        // Asio's destructor posts the destruction of the task to its executor.
        thread task(std::move(parked()));
    }

    /// Unwind the fiber. Every await_ on it, the one that waits first, throws `abandoned` from now on, until its
    /// function has returned.
    void abandon() noexcept {
        if (!fiber_)
            return;
        if (fiber_->state.load(std::memory_order_relaxed) == fiber::parked)
            return give_back(this_thread()); // it was never entered
        abandoned_ = true;
        key_ = nullptr;
        owner_ = &parked(); // owns nothing
        std::optional<stand_in_task<Executor>> stand_in;
        stand_in_ = &stand_in;
        thread_state* last = nullptr;
        while (!done_)
            last = &enter(this_thread());
        give_back(*last);
    }

    /// The outermost frame whose handle leads to the trampoline: the one by which the task's destruction got here.
    frame* destroyed_first() const noexcept { return all_.outermost; }
    void ends_by_itself() noexcept { ends_by_itself_ = true; }
    void own_frame(frame& f) noexcept { all_.outermost = own_frame_ = &f; }
    /// Where the fiber goes at the end, if not to a thread's cache.
    void on_end(void (*release)(fiber&, void*) noexcept, void* argument) noexcept {
        release_ = release;
        release_argument_ = argument;
    }
    Executor& task_executor() noexcept { return private_access::executor(*entry_); }
    asio::any_io_executor executor() const override { return private_access::executor(*entry_); }

    // ---- the fiber side ------------------------------------------------------------------------------------------

    bool serving() const noexcept override {
        return !abandoned_ && frames::attached_thread(*top()) && !runs_inline_on(*fiber_);
    }

    /// The meaning of `co_await std::move(x)` in the frame whose code runs. `x` stays the owner until it is over.
    template <class T> [[gnu::always_inline]] T await(asio::awaitable<T, Executor>& x, thread_state& here) {
        frame* const body = top();
        if (!frames::attached_thread(*body) || is_cancelled() || runs_inline_on(*fiber_)) [[unlikely]]
            refuse(x);
        private_access::frame(x)->push_frame(body);
        if (here.exceptions->caught || here.exceptions->uncaught) [[unlikely]]
            pump_aside(x, *body, here);
        else
            pump_above(x, *body);
        return x.await_resume();
    }

    /// Pump the task until `base` is on top again. The fiber's whole job under a task-wide portal.
    /// @returns false if the task is being destroyed instead
    template <bool TaskWide> [[gnu::always_inline]] bool pump(frame* base) {
        frame* f = top();
        do {
            if (!step<TaskWide>(*f, *base)) [[unlikely]]
                return false;
            f = top();
        } while (f != base);
        return true;
    }

    void finish() noexcept { done_ = true; }

    /// The handle of `f`, the frame being resumed, changes for good; it may be exchanged at the moment.
    void replace_handle(frame& f, std::coroutine_handle<> from, std::coroutine_handle<> to) noexcept {
        if (frames::coroutine(f) == from)
            frames::coroutine(f) = to;
        else
            exchange_->top_coroutine = to.address();
    }

    void park() override {
        frame* const body = top();
        if (!frames::attached_thread(*body)) [[unlikely]]
            throw_no_portal(where_, no_portal_because::initiating);
        if (runs_inline_on(*fiber_)) [[unlikely]]
            throw_no_portal(where_, no_portal_because::runs_inline);
        thread* const owner = body->detach_thread();
        if (owner != &parked())
            new (&parked_) thread(std::move(*owner));
        if (body != own_frame_) {
            parked_body_.emplace(*body, all_);
            needs_unpark_ = true;
        }
    }

    void unpark() override {
        needs_unpark_ = false;
        parked_body_.reset();
        if (abandoned_) [[unlikely]] {
            attach_stand_in(*top());
            throw_abandoned();
        }
    }

private:
    [[gnu::always_inline]] bool is_cancelled() const noexcept {
        return private_access::throw_if_cancelled(*entry_) && !!private_access::state(*entry_).cancelled();
    }

    /// @throws what keeps `x` from being awaited, having destroyed it unrun
    template <class T> [[noreturn, gnu::noinline, gnu::cold]] void refuse(asio::awaitable<T, Executor>& x) {
        asio::awaitable<T, Executor> const destroyed(std::move(x));
        if (!frames::attached_thread(*top()))
            throw_no_portal(where_, no_portal_because::initiating);
        if (runs_inline_on(*fiber_))
            throw_no_portal(where_, no_portal_because::runs_inline);
        throw_cancelled();
    }

    /// The body's handle leads to the trampoline as long as it waits for what it pushed.
    template <class T> [[gnu::always_inline]] void pump_above(asio::awaitable<T, Executor>& x, frame& body) {
        bool ok;
        {
            body_scope<Executor> const waiting(body, all_);
            ok = pump<false>(&body);
        }
        if (!ok) [[unlikely]]
            leave_abandoned(body, x);
    }

    /// The same in a body that handles exceptions, or is being unwound: the coroutine it awaits must see neither.
    template <class T> [[gnu::noinline]] void pump_aside(asio::awaitable<T, Executor>& x, frame& body, thread_state& here) {
        struct set_aside {
            exception_state mine;
            ~set_aside() {
                exception_state& now = *this_thread().exceptions; // of the thread the fiber is on by now
                now = {mine.caught, mine.uncaught + now.uncaught}; // `abandoned` may be on its way out of here
            }
        } const restored_here{std::exchange(*here.exceptions, exception_state())};
        pump_above(x, body);
    }

    frame* top() const noexcept { return private_access::top_of_stack(*entry_); }
    thread& parked() noexcept { return *std::launder(reinterpret_cast<thread*>(&parked_)); }

    /// Run the fiber, and what it leaves to be done, until it has suspended or its job is over.
    /// @param origin where the task's owner stands if it is given back without having been away
    /// @param here this thread
    /// @returns whether the job is over; if not, the portal may be gone
    [[gnu::always_inline]] bool run_fiber(thread* origin, thread_state& here) noexcept {
        owner_ = origin;
        for (;;) {
            enter(here);
            if (done_) {
                give_back(here);
                return true;
            }
            if (errand const e = std::exchange(errand_, errand()); e.run) {
                if (!e.run(e.argument))
                    return false;
                take_back(*origin, threads::bottom(parked()));
            } else {
                if constexpr (initiates_while_suspending) {
                    if (!gate_.set_out())
                        return false;
                    take_back(*origin, left_);
                }
            }
        }
    }

    void take_back(thread& origin, entry_awaitable<Executor>& owner) noexcept {
        if (&threads::bottom(origin) != &owner)
            threads::bottom(origin) = std::move(owner);
        top()->attach_thread(&origin);
    }

    void give_back(thread_state& here) noexcept {
        if (release_)
            release_(*std::exchange(fiber_, nullptr), release_argument_);
        else
            return_fiber(here, *std::exchange(fiber_, nullptr));
    }

#if GREENBACK_ASIO_VERSION >= 102400

    /// Resume the frame on top. Where it suspends in an operation, go out and have the operation initiated out there.
    template <bool TaskWide> [[gnu::always_inline]] bool step(frame& f, frame& base) {
        typename frames::resume_context context;
        frames::resume(f, context);
        if (!context.after_suspend_fn_) [[likely]]
            return !abandoned_;
        if (abandoned_)
            return false; // nothing is started for a task that is being destroyed
        frame_exchange<Executor> x;
        x.template make<TaskWide>(all_, *top(), base);
        initiation i{context.after_suspend_fn_, context.after_suspend_arg_};
        errand_ = {&initiation::run, &i};
        switch_out(*fiber_);
        x.template put_back<TaskWide>(all_);
        return !abandoned_;
    }

    struct initiation {
        void (*function)(void*);
        void* argument;
        static bool run(void* self) {
            initiation const i = *static_cast<initiation*>(self); // the fiber may be back in before `function` returns
            i.function(i.argument);
            return false;
        }
    };

#else

    /// Resume the frame on top. It may initiate an operation before it has returned, and another thread may resume the
    /// task at any moment after that: so the handles are exchanged before, and `gate_` keeps that thread out until the
    /// fiber is.
    template <bool TaskWide> [[gnu::always_inline]] bool step(frame& f, frame& base) {
        frame_exchange<Executor> x;
        frame_exchange<Executor>* const outer = std::exchange(exchange_, &x);
        x.template make<TaskWide>(all_, f, base).resume();
        bool ok = true;
        if (!threads::owns(*owner_)) [[unlikely]] {
            if (!abandoned_)
                switch_out(*fiber_);
            ok = !abandoned_;
        }
        exchange_ = outer;
        x.template put_back<TaskWide>(all_);
        return ok;
    }

#endif

    /// The trampoline was resumed while the fiber is still in. @returns whether this thread goes on with it
    [[gnu::noinline]] bool goes_on_here() noexcept {
        thread_state& here = this_thread();
        if (here.current == this && fiber_->holds(__builtin_frame_address(0)))
            return complete_inline(), false;
        if (&here != entered_on_)
            return gate_.wait_until_out(), true;
        thread* const owner = top()->detach_thread();
        left_ = std::move(threads::bottom(*owner));
        if (gate_.leave_task())
            return false;
        take_back(*owner, left_);
        return true;
    }

    /// On the fiber itself: an operation has completed inside its own initiation (`dispatch`). Run the task on from here,
    /// where its handler runs (inside the strand, if it is one), as Asio would; then hand it to the step further out.
    void complete_inline() noexcept {
        if (all_.outermost == exchange_->top || all_.outermost == exchange_->caller)
            complete_inline_above<true>(*exchange_);
        else
            complete_inline_above<false>(*exchange_);
    }

    /// @param x of the step that runs below this on the fiber; it will go out, or go on, from there
    template <bool TaskWide> void complete_inline_above(frame_exchange<Executor>& x) noexcept {
        frame& base = *x.base;
        thread* const outer = owner_;
        thread* const here = frames::attached_thread(*top());
        owner_ = here;
        x.template put_back<TaskWide>(all_);
        for (frame* f = top(); f != &base; f = top()) {
            x.template make<TaskWide>(all_, *f, base).resume();
            if (!threads::owns(*owner_)) {
                if (owner_ == here)
                    owner_ = outer;
                return;
            }
            x.template put_back<TaskWide>(all_);
        }
        x.clear();
        if (owner_ != here)
            return; // the fiber was out meanwhile: somebody else owns the task now
        owner_ = outer;
        take_back(*outer, threads::bottom(*here));
    }

    /// The task is being destroyed: destroy what was awaited, and go on unwinding in `body`.
    template <class T> [[noreturn, gnu::noinline]] void leave_abandoned(frame& body, asio::awaitable<T, Executor>& awaited) {
        {
            asio::awaitable<T, Executor> destroyed_first = std::move(awaited);
        }
        attach_stand_in(body);
        throw_abandoned();
    }

    void attach_stand_in(frame& body) {
        if (&body == own_frame_)
            return; // no coroutine is in between: the body is the portal's function
        if (!*stand_in_)
            stand_in_->emplace(private_access::executor(*entry_));
        (*stand_in_)->attach(body);
    }

    entry* entry_ = nullptr;             ///< the task. Set by `start`.
    exchanged_frames<Executor> all_;     ///< the frames whose handles lead to the trampoline, which `start` sets
    std::optional<stand_in_task<Executor>>* stand_in_; ///< during `abandon`; made when it is needed
    frame* own_frame_ = nullptr;         ///< the portal's own frame, where its function is the body; null: task-wide
    std::optional<body_scope<Executor>> parked_body_; ///< the coroutine whose synchronous code waits in an operation of our own
    unsigned runs_ = 0;                  ///< how often the trampoline was resumed
    bool ends_by_itself_ = false;        ///< the trampoline is a coroutine of its own, which destroys itself
    initiation_gate gate_;               ///< Asio before 1.24 only, as the next three
    entry_awaitable<Executor> left_;     ///< the task, see `initiation_gate::leave_task`
    thread* owner_;            ///< who owned the task when the fiber was last entered. Written by whoever does.
    frame_exchange<Executor>* exchange_;       ///< of the innermost `step`
    void (*release_)(fiber&, void*) noexcept = nullptr; ///< where the fiber goes at the end; null: this thread's cache
    void* release_argument_;
    alignas(thread) unsigned char parked_[sizeof(thread)]{}; ///< the task, while an operation of our own owns it
};

} // namespace GREENBACK_BACKEND_NAMESPACE
} // namespace greenback::detail
