// SPDX-License-Identifier: MIT
// Pumping a task whose operations are initiated inside `await_suspend`, that is, on the fiber: Asio before 1.24.
//
// An operation is under way before the fiber is out, so its handler may resume the task, that is, the trampoline, too
// early. Where that happens tells what to do:
//
//   on the fiber itself: the operation has completed inside its own initiation     run the task on from there
//   on the same thread, above the fiber's resumer: in what that was called by      hand the task over to the resumer
//   on another thread                                                              wait at the gate, then go in
#pragma once

#include <greenback/detail/config.hpp>
#include <greenback/detail/fiber/portal_base.hpp>
#include <greenback/detail/task/initiation_gate.hpp>
#include <greenback/detail/task/pumped_task.hpp>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

template <class Executor> class task_pump : public pumped_task<Executor> {
    using base = pumped_task<Executor>;
    using typename base::frames;
    using typename base::threads;

public:
    using typename base::frame;
    using typename base::thread;

    // ---- on the fiber -----------------------------------------------------------------------------------------------

    /// Resume `f`, the frame on top. It may initiate an operation before it has returned, and another thread may resume
    /// the task at any moment after that: so the handles are swapped before, and the gate keeps that thread out until
    /// the fiber is.
    /// @returns false if the task is being destroyed instead
    template <bool TaskWide> GREENBACK_SWITCH_PATH bool step(portal_base& portal, frame& f) {
        this->swap.template swap<TaskWide>(this->swapped, f).resume();
        bool const ok = threads::owns(*this->owner) || wait(portal);
        this->swap.template swap_back<TaskWide>(this->swapped);
        return ok;
    }
    /// The same for a frame just pushed on the base.
    GREENBACK_SWITCH_PATH bool step_on_base(portal_base& portal, frame& f) {
        this->swap.swap_on_base(this->swapped, f).resume();
        if (threads::owns(*this->owner)) {
            this->swap.swap_back_on_base();
            return true;
        }
        bool const ok = wait(portal);
        this->swap.template swap_back<false>(this->swapped); // no longer of `f` if it completed inline meanwhile
        return ok;
    }

    // ---- on the resumer's side --------------------------------------------------------------------------------------

    void begin_in() noexcept { gate_.set_in(); }
    void begin_out() noexcept { gate_.set_out(); }

    /// An operation's handler may be destroyed before its initiation has returned.
    void wait_until_out() const noexcept {
        if (gate_.is_in()) [[unlikely]]
            gate_.wait_until_out();
    }

    /// In the `await_suspend` of the trampoline, which Asio has resumed in the place of the frame on top.
    /// @returns whether it stays suspended
    template <class Portal> GREENBACK_SWITCH_PATH static bool enter_from_trampoline(Portal* portal) noexcept {
        if (portal->task.gate_.is_in()) [[unlikely]]
            return enter_early(*portal);
        return enter(portal);
    }

    /// The same when a portal's function has come out for the first time.
    template <class Portal> static bool come_out_of_trampoline(Portal& portal, frame&) noexcept {
        return !portal.come_out(false) || portal.task.must_resume_trampoline();
    }

    /// The fiber's job is over. If nobody has resumed the trampoline in the midst of its await_suspend, it goes on as
    /// if it had never suspended. @returns whether it stays suspended
    GREENBACK_SWITCH_PATH bool must_resume_trampoline() noexcept {
        if (!resumed_again_) [[likely]]
            return false;
        this->swapped.trampoline().resume();
        return true;
    }

    /// The fiber has come out with an operation of Asio's. @returns the owner of the task if it has come back already,
    /// on this very thread; null if not, and the portal may be gone
    GREENBACK_SWITCH_PATH thread* come_out() noexcept {
        if (!gate_.set_out()) [[likely]]
            return nullptr;
        return &early_task_.task();
    }

private:
    /// An operation has the task: go out until it is over. @returns false if the task is being destroyed instead
    GREENBACK_SWITCH_PATH bool wait(portal_base& portal) noexcept {
        if (!portal.abandoned()) [[likely]]
            switch_out(portal.own_fiber());
        return !portal.abandoned();
    }

    template <class Portal> GREENBACK_SWITCH_PATH static bool enter(Portal* portal) noexcept {
        GREENBACK_ASSERT(portal->is(Portal::state::out) && portal->task.leads_to_trampoline());
        fetch_frames(portal);
        portal->task.gate_.set_in();
        portal->task.resumed_again_ = false;
        thread_state& here = this_resumer(); // first: what is found before this call would take a register across it
        thread* const owner = frames::attached_thread(*portal->task.top());
        return !Portal::run(portal, owner, here) || portal->task.must_resume_trampoline();
    }

    template <class Portal> GREENBACK_OUT_OF_LINE static bool enter_early(Portal& portal) noexcept {
        return !portal.task.claim_early(portal) || enter(&portal);
    }

    /// The trampoline was resumed while the fiber is still in. @returns whether this thread goes on with it
    GREENBACK_OUT_OF_LINE bool claim_early(portal_base& portal) noexcept {
        thread_state& here = this_thread();
        bool const same_thread = &here == &portal.entered_on();
        if (same_thread)
            resumed_again_ = true;
        if (here.current == &portal && portal.own_fiber().holds(__builtin_frame_address(0)))
            return complete_inline(), false;
        if (!same_thread)
            return gate_.wait_until_out(), true;
        // Further up the stack than the fiber's resumer: the fiber can't come out before we return. Not into the
        // portal's own held task: that may be the owner whom `step` asks for the task.
        early_task_.hold(*this->top()->detach_thread());
        gate_.hand_over();
        return false;
    }

    /// On the fiber itself: an operation has completed inside its own initiation (`dispatch`). Run the task on from
    /// here, where its handler runs (inside the strand, if it is one), as Asio would; then hand it to the step further
    /// out.
    void complete_inline() noexcept {
        if (this->swapped.outermost == this->swap.top || this->swapped.outermost == this->swap.caller)
            complete_inline_above<true>();
        else
            complete_inline_above<false>();
    }

    /// What is swapped belongs to the step that lies below this on the fiber, in whose `resume()` this runs. When this
    /// returns, that step goes out if the task has suspended again, or else goes on.
    template <bool TaskWide> void complete_inline_above() noexcept {
        handle_swap<Executor>& s = this->swap;
        thread* const outer = this->owner;
        thread* const here = frames::attached_thread(*this->top());
        this->owner = here;
        s.template swap_back<TaskWide>(this->swapped);
        for (frame* f = this->top(); f != s.base; f = this->top()) {
            s.template swap<TaskWide>(this->swapped, *f).resume();
            if (!threads::owns(*this->owner)) {
                if (this->owner == here)
                    this->owner = outer;
                return;
            }
            s.template swap_back<TaskWide>(this->swapped);
        }
        s.clear();
        if (this->owner != here)
            return; // the fiber was out meanwhile: somebody else owns the task now
        this->owner = outer;
        this->give(*outer, *here);
    }

    /// Was the trampoline resumed again since this visit of the fiber began? Written by `enter` and `claim_early`.
    bool resumed_again_ = false;
    initiation_gate gate_;
    held_task<Executor> early_task_; ///< the task, from `claim_early` until the fiber is entered again
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
