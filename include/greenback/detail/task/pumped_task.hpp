// SPDX-License-Identifier: MIT
// The task that a portal pumps: its frames, those of them whose handles are swapped, and who owns it.
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
// swapped for that of the *trampoline*, a small coroutine whose suspension enters the fiber; once back in, the fiber
// puts them back, strictly last in first out. The handle of a body is swapped for as long as await_ lasts, so that
// whoever destroys the task, outermost frame first, meets the trampoline before a frame that is not suspended at all
// but runs on the fiber.
//
// Where the portal runs a function, the body is the frame of that function's own coroutine, which is the trampoline as
// well: its handle leads there anyway. That is the case `portal_core::await` is made for; what a coroutine on the fiber
// calls goes through `await_slow`.
//
// The trampoline enters the fiber from inside its `await_suspend`, when it counts as suspended. Since Asio 1.24 what is
// to be initiated is left to Asio until the trampoline's `resume()` has returned. Before, the operation is under way by
// then, so the trampoline may be resumed again, on another thread, while the thread before is still on its way out.
#pragma once

#include <greenback/detail/task/handle_swap.hpp>
#include <greenback/detail/task/held_task.hpp>

#include <coroutine>
#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// What both pumps have in common. Its constructor writes nothing: see the states of a portal in portal_core.hpp.
template <class Executor> struct pumped_task {
    using frame = frame_base<Executor>;
    using frames = frame_access<Executor>;
    using thread = task_thread<Executor>;
    using threads = thread_access<Executor>;

    entry_frame<Executor>* entry;     ///< of the task. Written once, when the portal is prepared.
    swapped_frames<Executor> swapped; ///< all frames whose handles lead to the trampoline
    handle_swap<Executor> swap;       ///< of the innermost step
    /// Who owned the task when the fiber was last entered, and has it back when a frame has been resumed that did not
    /// suspend. Written by who enters, and by what completes inline, before Asio 1.24.
    thread* owner;

    /// @param at a frame of the task
    /// @param trampoline what the handles shall lead to
    void attach(frame& at, std::coroutine_handle<> trampoline) noexcept {
        owner = frames::attached_thread(at);
        entry = owner->entry_point();
        swapped.trampoline_address = trampoline.address();
        swap.caller = nullptr;
    }

    /// The frame whose code runs, or that is to be resumed next.
    frame* top() const noexcept { return private_access::top_of_stack(*entry); }

    /// For assertions: is the trampoline what Asio resumes in the place of the frame on top?
    bool leads_to_trampoline() const noexcept {
        return !swapped.outermost || frames::coroutine(*top()) == swapped.trampoline(); // null: never was in
    }

    /// The task goes from one owner to another.
    void give(thread& to, thread& from) noexcept {
        if (&to != &from)
            threads::bottom(to) = std::move(threads::bottom(from));
        top()->attach_thread(&to);
    }
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
