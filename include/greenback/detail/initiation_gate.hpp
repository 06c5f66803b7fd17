// SPDX-License-Identifier: MIT
// Keeps a task that is resumed too early out of its fiber.
#pragma once

#include <atomic>

namespace greenback::detail {

/// Before Asio 1.24 an operation is initiated on the fiber, so it may be over, and another thread may resume the task,
/// while the fiber is still on its way out. That thread waits here, for about as long as a switch takes: an initiation has
/// nothing left to do but to return.
///
/// It does not hand the task to the thread that is leaving: the operation's handler may be bound to an executor, a strand
/// say, that only the resuming thread is in.
class initiation_gate {
public:
    /// Is the fiber in, or on its way out?
    bool is_in() const noexcept { return state_.load(std::memory_order_acquire) == state::in; }

    /// Whoever is about to go in. @pre it is out
    void set_in() noexcept { state_.store(state::in, std::memory_order_relaxed); }

    /// The resumer of the fiber that has come out: the last it does with the portal, unless the answer is yes.
    /// @returns whether the task was left for it by `leave_task`: then the fiber counts as in again
    [[gnu::always_inline]] bool set_out() noexcept {
        state const was = state_.exchange(state::out, std::memory_order_acq_rel);
        if (was == state::in) [[likely]]
            return false;
        if (was == state::awaited) {
            state_.notify_one(); // by address: the thread that waits may have ended the portal already
            return false;
        }
        set_in();
        return true;
    }

    /// A thread that has the task, while another one's fiber is in: returns when it is out.
    void wait_until_out() noexcept {
        state expected = state::in;
        if (state_.compare_exchange_strong(expected, state::awaited, std::memory_order_acq_rel, std::memory_order_acquire))
            state_.wait(state::awaited, std::memory_order_acquire);
    }

    /// The thread whose fiber is in, further down its stack, resumes the task: it can't wait for itself, so it leaves the
    /// task for `set_out` to find. @returns false if the fiber is out after all; then it counts as in again
    bool leave_task() noexcept {
        if (state_.exchange(state::left, std::memory_order_acq_rel) == state::in)
            return true;
        set_in();
        return false;
    }

private:
    enum class state : unsigned char {
        out,     ///< the fiber is out, the task suspended. Written by the fiber's resumer, once it is.
        in,      ///< the fiber is in, or on its way out. Written by whoever goes in.
        awaited, ///< it is still in, and another thread, which has the task, waits for it to come out. Written by that.
        left,    ///< it is still in, but its own thread has resumed the task and left it. Written by that.
    };
    std::atomic<state> state_{state::out};
};

} // namespace greenback::detail
