// SPDX-License-Identifier: MIT
// The task that a portal pumps: its frames, those of them whose handles are swapped, and who owns it.
#pragma once

#include <greenback/detail/task/handle_swap.hpp>
#include <greenback/detail/task/held_task.hpp>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// What both pumps have in common. The constructor writes nothing: see the states of a portal in portal_core.hpp.
template <class Executor> struct pumped_task {
    using frame = frame_base<Executor>;
    using frames = frame_access<Executor>;
    using thread = task_thread<Executor>;
    using threads = thread_access<Executor>;

    entry_frame<Executor>* entry;     ///< of the task. Written once, when the portal is prepared.
    swapped_frames<Executor> swapped; ///< all frames whose handles lead to the trampoline
    handle_swap<Executor> swap;       ///< of the innermost step
    thread* owner;                    ///< who owned the task when the fiber was last entered. Written by whoever does.

    /// @param at a frame of the task @param trampoline what the handles shall lead to
    void attach(frame& at, std::coroutine_handle<> trampoline) noexcept {
        owner = frames::attached_thread(at);
        entry = owner->entry_point();
        swapped.trampoline_address = trampoline.address();
        swap.caller = nullptr;
    }

    /// The frame whose code runs, or that is to be resumed next.
    frame* top() const noexcept { return private_access::top_of_stack(*entry); }

    /// The task goes from one owner to another.
    void give(thread& to, thread& from) noexcept {
        if (&to != &from)
            threads::bottom(to) = std::move(threads::bottom(from));
        top()->attach_thread(&to);
    }
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
