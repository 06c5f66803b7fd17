// SPDX-License-Identifier: MIT
// Frames whose coroutine handle leads to a portal's trampoline for a while. Put back strictly last in, first out.
#pragma once

#include <greenback/detail/asio/access.hpp>
#include <greenback/detail/config.hpp>

#include <coroutine>
#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// What a portal knows of the frames it has swapped the handles of.
template <class Executor> struct swapped_frames {
    void* trampoline_address;        ///< where their handles lead
    frame_base<Executor>* outermost; ///< the one furthest out, by which the task's destruction gets here; or null

    std::coroutine_handle<> trampoline() const noexcept {
        return std::coroutine_handle<>::from_address(trampoline_address);
    }
};

/// Marks `f` as a body for as long as await_ lasts: its handle leads to the trampoline.
template <class Executor> class running_frame {
    using frame = frame_base<Executor>;
    using frames = frame_access<Executor>;

public:
    running_frame(frame& f, swapped_frames<Executor>& swapped) noexcept
        : frame_(f), swapped_(swapped), coroutine_(std::exchange(frames::coroutine(f), swapped.trampoline())),
          outermost_(swapped.outermost) {
        if (!outermost_)
            swapped.outermost = &f;
    }
    running_frame(running_frame const&) = delete;
    ~running_frame() {
        frames::coroutine(frame_) = coroutine_;
        swapped_.outermost = outermost_;
    }

private:
    frame& frame_;
    swapped_frames<Executor>& swapped_;
    std::coroutine_handle<> coroutine_;
    frame* outermost_;
};

/// The handles of the top frame and its caller, while they lead to the trampoline. In a task-wide pump no body lies
/// further out, so one of these two is the outermost frame that does.
template <class Executor> struct handle_swap {
    using frame = frame_base<Executor>;
    using frames = frame_access<Executor>;

    frame* top;
    void* top_coroutine; ///< addresses, as a handle would be set to null first
    frame* caller;       ///< null: it is the base, which is not ours to change, or nothing is swapped
    void* caller_coroutine;
    /// Where the pump ends whose steps these are: when this is the top frame. In a function's portal it is the frame of
    /// the function itself. So the code that runs is the function's own, and not a coroutine's, if this is the top
    /// frame.
    frame* base;

    /// @returns the handle of `f`, the top frame
    template <bool TaskWide>
    GREENBACK_SWITCH_PATH std::coroutine_handle<> swap(swapped_frames<Executor>& swapped, frame& f) noexcept {
        std::coroutine_handle<> const own = swap_on_base(swapped, f);
        frame* const c = frames::caller(f);
        if (c != base) {
            caller = c;
            caller_coroutine = std::exchange(frames::coroutine(*c), swapped.trampoline()).address();
        }
        if constexpr (TaskWide)
            swapped.outermost = caller ? caller : top;
        return own;
    }
    /// The same for a frame whose caller is the base.
    GREENBACK_SWITCH_PATH std::coroutine_handle<> swap_on_base(swapped_frames<Executor>& swapped, frame& f) noexcept {
        GREENBACK_ASSERT(!caller);
        std::coroutine_handle<> const own = std::exchange(frames::coroutine(f), swapped.trampoline());
        top = &f;
        top_coroutine = own.address();
        return own;
    }
    template <bool TaskWide> GREENBACK_SWITCH_PATH void swap_back(swapped_frames<Executor>& swapped) noexcept {
        if constexpr (TaskWide)
            swapped.outermost = nullptr;
        if (caller) {
            frames::coroutine(*caller) = std::coroutine_handle<>::from_address(caller_coroutine);
            caller = nullptr;
        }
        swap_back_on_base();
    }
    GREENBACK_SWITCH_PATH void swap_back_on_base() noexcept {
        frames::coroutine(*top) = std::coroutine_handle<>::from_address(top_coroutine);
    }
    /// Nothing is swapped any more: putting back does nothing.
    void clear() noexcept {
        top = base;
        caller = nullptr;
        top_coroutine = frames::coroutine(*base).address();
    }
};

/// A pump within a pump, for as long as it lives: what the outer one has swapped is kept until then.
template <class Executor> class nested_swap {
public:
    /// @param base of the inner pump
    nested_swap(handle_swap<Executor>& now, frame_base<Executor>& base) noexcept : now_(now), outer_(now) {
        now_.caller = nullptr;
        now_.base = &base;
    }
    nested_swap(nested_swap const&) = delete;
    ~nested_swap() { now_ = outer_; }

private:
    handle_swap<Executor>& now_;
    handle_swap<Executor> const outer_;
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
