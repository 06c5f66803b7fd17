// SPDX-License-Identifier: MIT
// Every name of `asio::detail` that the library uses, in one place.
//
// Asio's coroutine task is a stack of frames that an `awaitable_thread` pumps: it resumes the top frame again and again
// until the stack is empty or somebody has taken the stack away (an operation's handler, until the operation is over).
// A portal pumps the same stack from a fiber, so it needs to see it.
//
//   name                                            since   what for
//   awaitable::frame_                               1.22.1  the frame of a coroutine that is to be awaited; making an
//                                                           awaitable of a frame of our own
//   awaitable_frame_base::coro_                     1.22.1  what Asio resumes; exchanged while a task waits on its
//   fiber awaitable_frame_base::attached_thread_          1.22.1  who pumps; null while an operation owns the stack
//   awaitable_frame_base::caller_                   1.22.1  the frame below
//   awaitable_frame_base::push_frame, attach_thread, detach_thread, pop_frame, await_transform,
//     clear_cancellation_slot, unhandled_exception  1.22.1  public there; what `co_await` itself calls
//   awaitable_frame_base::resume_context_           1.24    where an operation leaves its initiation, and Asio finds
//                                                           it when the frame has suspended
//   awaitable_thread::bottom_of_stack_, pump,
//     entry_point                                   1.22.1  the stack and its owner
//   entry frame: top_of_stack_, cancellation_state_, parent_cancellation_slot_, throw_if_cancelled_
//                                                   1.22.1  the running frame; the task's cancellation
//   call_stack<>, strand_executor_service           1.22.1  is other code run inline on this fiber?
//   awaitable_launch_context                        1.36    the same, for a task that `co_spawn` starts inline
//   executor_function::impl_, impl, complete        1.22.1  which handler is it, and where: for with_portal_run_tree
//   awaitable_handler; awaitable_async_op_handler   1.22.1; 1.27  the handler of the first step that co_spawn
//   dispatches binder0::handler_                               1.22.1  what `dispatch` wraps it in
//
// Protected members are named through a derived class; private ones in a specialisation of `awaitable_thread`, which
// Asio befriends, or in an explicit instantiation, to which access does not apply.
#pragma once

#include <greenback/detail/asio/backend.hpp>

#include <coroutine>
#include <memory>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

struct access_key {};

template <class Executor> using frame_base = asio::detail::awaitable_frame_base<Executor>;
template <class T, class Executor> using frame_of = asio::detail::awaitable_frame<T, Executor>;
template <class Executor> using entry_frame = frame_of<asio::detail::awaitable_thread_entry_point, Executor>;
template <class Executor> using entry_awaitable = asio::awaitable<asio::detail::awaitable_thread_entry_point, Executor>;
template <class Executor> using task_thread = asio::detail::awaitable_thread<Executor>;

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE

/// The friend: private members of `awaitable` and of the entry frame.
template <> class GREENBACK_ASIO_ROOT::detail::awaitable_thread<greenback::detail::access_key> {
public:
    template <class T, class Executor> static auto& frame(GREENBACK_ASIO_ROOT::awaitable<T, Executor>& a) noexcept {
        static_assert(
            requires { a.frame_; }, "greenback: this Asio has no awaitable::frame_; please report its version");
        return a.frame_;
    }
    template <class T, class Executor>
    static GREENBACK_ASIO_ROOT::awaitable<T, Executor>
    make_awaitable(GREENBACK_ASIO_ROOT::detail::awaitable_frame<T, Executor>* f) noexcept {
        return GREENBACK_ASIO_ROOT::awaitable<T, Executor>(f);
    }
    template <class Entry> static auto& top_of_stack(Entry& e) noexcept {
        static_assert(
            requires { e.top_of_stack_; },
            "greenback: this Asio's entry frame has no top_of_stack_; please report its version");
        return e.top_of_stack_;
    }
    template <class Entry> static auto& state(Entry& e) noexcept {
        static_assert(
            requires { e.cancellation_state_; },
            "greenback: this Asio's entry frame has no cancellation_state_; please report its version");
        return e.cancellation_state_;
    }
    template <class Entry> static auto& parent_slot(Entry& e) noexcept {
        static_assert(
            requires { e.parent_cancellation_slot_; },
            "greenback: this Asio's entry frame has no parent_cancellation_slot_; please report its version");
        return e.parent_cancellation_slot_;
    }
    template <class Entry> static bool& throw_if_cancelled(Entry& e) noexcept {
        static_assert(
            requires { e.throw_if_cancelled_; },
            "greenback: this Asio's entry frame has no throw_if_cancelled_; please report its version");
        return e.throw_if_cancelled_;
    }
    template <class Entry> static auto& executor(Entry& e) noexcept { return e.u_.executor_; }
};

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

using private_access = asio::detail::awaitable_thread<access_key>;

/// Protected members of a frame, of any frame: a pointer to member named through a derived class applies to the base.
template <class Executor> struct frame_access : frame_base<Executor> {
    using base = frame_base<Executor>;
    using thread = task_thread<Executor>;

    static std::coroutine_handle<>& coroutine(base& f) noexcept { return f.*(&frame_access::coro_); }
    static thread*& attached_thread(base& f) noexcept { return f.*(&frame_access::attached_thread_); }
    static base*& caller(base& f) noexcept { return f.*(&frame_access::caller_); }

#if GREENBACK_ASIO_VERSION >= 102400
    using resume_context = typename base::resume_context;
    /// Where what `f` leaves to be done once it has suspended is looked for, by who resumes it.
    static resume_context*& context(base& f) noexcept { return f.*(&frame_access::resume_context_); }
    /// Resume as `awaitable_frame_base::resume` does, but keep the initiation it leaves in `context`.
    static void resume(base& f, resume_context& context) {
        frame_access::context(f) = &context;
        coroutine(f).resume();
    }
#endif
};

/// Protected members of the owner of a task.
template <class Executor> struct thread_access : task_thread<Executor> {
    using base = task_thread<Executor>;
    static entry_awaitable<Executor>& bottom(base& t) noexcept { return t.*(&thread_access::bottom_of_stack_); }
    static void run(base& t) { (t.*(&thread_access::pump))(); }
    static bool owns(base& t) noexcept { return bottom(t).valid(); }
};

/// Private members by their address, as an explicit instantiation may name them.
template <class Tag, auto Member> struct reveal {
    friend constexpr auto revealed(Tag) { return Member; }
};

#if GREENBACK_ASIO_VERSION < 102700
using first_step = asio::detail::binder0<asio::detail::awaitable_handler<asio::any_io_executor>>;
#else
using first_step = asio::detail::binder0<asio::detail::awaitable_async_op_handler<void(), asio::any_io_executor>>;
#endif

struct function_impl_tag {
    friend constexpr auto revealed(function_impl_tag);
};
struct function_complete_tag {
    friend constexpr auto revealed(function_complete_tag);
};
struct function_handler_tag {
    friend constexpr auto revealed(function_handler_tag);
};
template struct reveal<function_impl_tag, &asio::detail::executor_function::impl_>;
template struct reveal<function_complete_tag,
                       &asio::detail::executor_function::complete<first_step, std::allocator<void>>>;
template struct reveal<function_handler_tag,
                       &asio::detail::executor_function::impl<first_step, std::allocator<void>>::function_>;

template <class C, class M> C class_of_member(M C::*);

/// What a thread is in the middle of, innermost first. Each entry lies on the stack of the function that made it.
struct loop_stack_tag {
    friend constexpr auto revealed(loop_stack_tag);
};
struct strand_stack_tag {
    friend constexpr auto revealed(strand_stack_tag);
};
using strand_in_use = asio::detail::strand_executor_service::implementation_type::element_type;
template struct reveal<loop_stack_tag,
                       &asio::detail::call_stack<asio::detail::thread_context, asio::detail::thread_info_base>::top_>;
template struct reveal<strand_stack_tag, &asio::detail::call_stack<strand_in_use>::top_>;

#if GREENBACK_ASIO_VERSION >= 103600
struct launch_stack_tag {
    friend constexpr auto revealed(launch_stack_tag);
};
template struct reveal<launch_stack_tag, &asio::detail::call_stack<asio::detail::awaitable_launch_context>::top_>;
#endif

/// The innermost entry; null if there is none.
template <class Entry>
GREENBACK_SWITCH_PATH inline void const* innermost(asio::detail::tss_ptr<Entry> const& top) noexcept {
    Entry* const entry = top;
    return entry;
}

/// @returns the entry frame of the task whose step `f` is, if it is a step that `co_spawn` itself awaits
inline entry_frame<asio::any_io_executor>* spawned_task(asio::detail::executor_function& f) noexcept {
    using frames = frame_access<asio::any_io_executor>;
    using impl = decltype(class_of_member(revealed(function_handler_tag())));
    auto* const base = f.*revealed(function_impl_tag());
    if (!base || base->complete_ != revealed(function_complete_tag()))
        return nullptr;
    task_thread<asio::any_io_executor>& owner = (static_cast<impl*>(base)->*revealed(function_handler_tag())).handler_;
    auto* const entry = owner.entry_point();
    auto* const top = private_access::top_of_stack(*entry);
    bool const awaited_by_entry = top == entry || (top && frames::caller(*top) == entry);
    return awaited_by_entry ? entry : nullptr;
}

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
