// SPDX-License-Identifier: MIT
// Pumping a task whose operations are initiated after the coroutine's `resume()` has returned: Asio 1.24 and newer.
//
// A frame leaves what it wants to have initiated in a *resume context*, whose address its resumer has put into it. The
// pump is the resumer of the frames on the fiber. It keeps what they leave, and goes out; who takes it from there
// depends on who has entered the fiber:
//
//   the trampoline, resumed by Asio    puts it where Asio looks for what the frame it resumes has left: so Asio
//     in the place of a frame          initiates the operation when the trampoline's own `resume()` has returned
//   the handler of an operation of     initiates it itself: nobody looks
//     ours, which holds the task
//
// Until it is initiated no other thread can know of the operation, so none can resume a fiber that is not out yet.
#pragma once

#include <greenback/detail/config.hpp>
#include <greenback/detail/fiber/portal_base.hpp>
#include <greenback/detail/task/pumped_task.hpp>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

template <class Executor> class task_pump : public pumped_task<Executor> {
    using base = pumped_task<Executor>;
    using typename base::frames;
    using resume_context = typename frames::resume_context;

public:
    using typename base::frame;
    using typename base::thread;

    // ---- on the fiber -----------------------------------------------------------------------------------------------

    /// Resume `f`, the frame on top. Where it suspends in an operation, go out and have the operation initiated there.
    /// @returns false if the task is being destroyed instead
    template <bool TaskWide> GREENBACK_SWITCH_PATH bool step(portal_base& portal, frame& f) {
        resume_context context;
        frames::resume(f, context);
        if (!frames::has_initiation(context)) [[likely]]
            return !portal.abandoned();
        if (portal.abandoned())
            return false; // nothing is started for a task that is being destroyed
        this->swap.template swap<TaskWide>(this->swapped, *this->top());
        initiation_ = frames::copied(context);
        switch_out(portal.own_fiber());
        this->swap.template swap_back<TaskWide>(this->swapped);
        return !portal.abandoned();
    }
    /// The same for a frame just pushed on the base.
    GREENBACK_SWITCH_PATH bool step_on_base(portal_base& portal, frame& f) { return step<false>(portal, f); }

    // ---- on the resumer's side --------------------------------------------------------------------------------------

    void begin_in() noexcept {}
    void begin_out() noexcept {}
    void wait_until_out() const noexcept {}

    /// In the `await_suspend` of the trampoline, which Asio has resumed in the place of the frame on top.
    /// @returns whether it stays suspended
    template <class Portal> GREENBACK_SWITCH_PATH static bool enter_from_trampoline(Portal* portal) noexcept {
        GREENBACK_ASSERT(portal->is(Portal::state::out) && portal->task.leads_to_trampoline());
        fetch_frames(portal);
        frame& resumed = *portal->task.top();
        portal->task.resumed_context_ = loaded_alone(frames::context(resumed));
        portal->task.owner = loaded_alone(frames::attached_thread(resumed));
        if (portal_base::enter(portal, this_resumer()))
            return false;
        return portal->task.leave(*portal, *portal->task.resumed_context_), true;
    }

    /// The same when a portal's function has come out for the first time.
    /// @param own the function's frame, which is its trampoline
    template <class Portal> static bool come_out_of_trampoline(Portal& portal, frame& own) noexcept {
        return portal.task.leave(portal, *frames::context(own)), true;
    }
    static constexpr bool must_resume_trampoline() noexcept { return false; }

    /// The fiber has come out with an operation of Asio's, and was entered by nobody who would initiate it.
    /// @returns null: the task does not come back before this returns. The portal may be gone.
    GREENBACK_SWITCH_PATH thread* come_out() {
        resume_context const initiation = frames::copied(initiation_);
        frames::initiate(initiation);
        return nullptr;
    }

private:
    /// Nothing of the trampoline is running any more when Asio initiates what is left here, so an exception leaves as
    /// from a coroutine of Asio's own, and the operation may be over before the initiation returns.
    template <class Portal> GREENBACK_SWITCH_PATH void leave(Portal& portal, resume_context& context) noexcept {
        GREENBACK_ASSERT(!portal.is_to_start_operation() || portal.is(Portal::state::held));
        if (portal.is_to_start_operation()) [[unlikely]]
            frames::leave(context, &run_after_suspend<Portal>, &portal);
        else
            context = frames::copied(initiation_);
    }

    /// What a fiber leaves that waits for an operation of ours.
    template <class Portal> static void run_after_suspend(void* self) {
        auto& portal = *static_cast<Portal*>(self);
        if (portal.start_operation()) [[unlikely]]
            portal.resume_from_after_suspend();
    }

    /// Of the frame in whose place the trampoline was resumed last. Written by that.
    resume_context* resumed_context_;
    /// What a frame on the fiber has left to be initiated: from `step` to the resumer.
    resume_context initiation_;
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
