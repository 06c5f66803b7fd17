// SPDX-License-Identifier: MIT
// The portal of a task's own coroutines, pumped from a certain frame on. The trampoline is a coroutine of its own.
#pragma once

#include <greenback/detail/portal/portal_core.hpp>

#include <coroutine>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

template <class Executor> class coroutine_portal final : public portal_core<Executor> {
    using core = portal_core<Executor>;

public:
    using typename core::frame;

    /// @param at the frame to begin with, suspended @param here this thread, where it will be entered first
    coroutine_portal(frame& at, std::coroutine_handle<> trampoline, thread_state& here) noexcept : core(here) {
        static_assert(sizeof(coroutine_portal) <= fiber::portal_room &&
                      alignof(coroutine_portal) <= fiber::portal_alignment);
        this->prepare_for(at, trampoline);
        this->exceptions_ = exception_state();
        this->task.swapped.outermost = nullptr;
        this->task.begin_out();
    }

    /// The fiber's whole job: pump the task until `base` is on top.
    void pump_task(frame& base) {
        this->task.swap.base = &base;
        this->template pump_to_base<true>();
    }

    /// The outermost frame whose handle leads to the trampoline: the one by which the task's destruction got here.
    frame* destroyed_first() const noexcept { return this->task.swapped.outermost; }

private:
    void prepare() noexcept override {} // it is, from the start
    bool is_function(frame&) const noexcept override { return false; }
    void end_from_operation() noexcept override { this->task.swapped.trampoline().resume(); }
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
