// SPDX-License-Identifier: MIT
// The portal of a function. The body is the frame of the function's own coroutine, which is its trampoline as well: its
// handle leads here anyway. That is the case `portal_core::await` is made for.
#pragma once

#include <greenback/detail/config.hpp>
#include <greenback/detail/portal/portal_core.hpp>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

template <class Executor> class function_portal final : public portal_core<Executor> {
    using core = portal_core<Executor>;

public:
    using typename core::frame;

    /// @param own the frame of the function's coroutine @param here this thread, where it will be entered first
    function_portal(frame& own, thread_state& here) noexcept : core(here) {
        static_assert(sizeof(function_portal) <= fiber::portal_room &&
                      alignof(function_portal) <= fiber::portal_alignment);
        this->task.swap.base = &own;
    }

    /// Go in for the first time, where that is not to be had by `enter_new`. @returns whether the job is over
    bool enter_new_slow(thread_state& here) noexcept {
        this->exceptions_ = exception_state();
        function_portal* self = this;
        return portal_base::enter(self, here);
    }

    /// The fiber has come out for the first time.
    /// @returns whether the trampoline stays suspended; if not, the job is over
    bool come_out_new(frame& own) noexcept {
        return core::pump::come_out_of_trampoline(static_cast<core&>(*this), own);
    }

    /// The job is over. @returns whether the trampoline stays suspended: it was resumed already
    GREENBACK_SWITCH_PATH bool must_resume_trampoline() noexcept { return this->task.must_resume_trampoline(); }

private:
    void prepare() noexcept override {
        frame& own = *this->task.swap.base;
        this->prepare_for(own, core::frames::coroutine(own));
        this->task.swapped.outermost = &own;
        this->task.begin_in();
    }
    bool is_function(frame& f) const noexcept override { return &f == this->task.swap.base; }
    void end_from_operation() noexcept override {} // the task is run on: that resumes the frame
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
