// SPDX-License-Identifier: MIT
// Keeps a task that is resumed too early out of its fiber.
#pragma once

#include <greenback/detail/config.hpp>

#include <atomic>
#include <chrono>
#include <thread>

namespace greenback::detail {

/// Before Asio 1.24 an operation is initiated on the fiber, so it may be over, and another thread may resume the task,
/// while the fiber is still on its way out. That thread waits here, for about as long as a switch takes: an initiation
/// has nothing left to do but to return.
///
/// It does not hand the task to the thread that is leaving: the operation's handler may be bound to an executor, a
/// strand say, that only the resuming thread is in.
///
/// The fiber comes out with a plain store, and whoever waits has to look. To be woken would take an atomic exchange in
/// every switch, 3 to 6 ns each, for what hardly ever happens; a thread woken that way would not be any sooner.
class initiation_gate {
public:
    /// Is the fiber in, or on its way out?
    bool is_in() const noexcept { return state_.load(std::memory_order_acquire) != state::out; }

    /// Whoever is about to go in. @pre it is out
    void set_in() noexcept { state_.store(state::in, std::memory_order_relaxed); }

    /// The resumer of the fiber that has come out: the last it does with the portal, unless the answer is yes.
    /// @returns whether the task was handed over to it by `hand_over`: then the fiber counts as in again
    GREENBACK_SWITCH_PATH bool set_out() noexcept {
        if (state_.load(std::memory_order_relaxed) == state::handed_over) [[unlikely]] {
            set_in();
            return true;
        }
        state_.store(state::out, std::memory_order_release);
        return false;
    }

    /// A thread that has the task, while another one's fiber is in: returns when it is out.
    GREENBACK_OUT_OF_LINE void wait_until_out() const noexcept {
        // The other thread may have lost its processor, perhaps to this one: so let it run; and if that alone doesn't
        // help, because this thread's priority is higher, sleep.
        constexpr int looks = 50, yields = 50;
        for (int i = 0; is_in(); ++i) {
            if (i < looks)
                pause();
            else if (i < looks + yields)
                std::this_thread::yield();
            else
                std::this_thread::sleep_for(std::chrono::microseconds(20));
        }
    }

    /// The thread whose fiber is in, further down its stack, resumes the task: it can't wait for itself, so it hands
    /// the task for `set_out` to find.
    void hand_over() noexcept { state_.store(state::handed_over, std::memory_order_relaxed); }

private:
    static void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#endif
    }

    enum class state : unsigned char {
        out,         ///< the fiber is out, the task suspended. Written by the fiber's resumer, once it is.
        in,          ///< the fiber is in, or on its way out. Written by whoever goes in.
        handed_over, ///< it is still in, but its own thread has resumed the task and handed it over. Written by that.
    };
    std::atomic<state> state_;
};

} // namespace greenback::detail
