// SPDX-License-Identifier: MIT
// Every name of `asio::detail` that the library uses, in one place.
//
// Asio's coroutine task is a stack of frames that an `awaitable_thread` pumps: it resumes the top frame again and again
// until the stack is empty or somebody has taken the stack away (an operation's handler, until the operation is over).
// A portal pumps the same stack from a fiber, so it needs to see it.
//
//   name                                      since    what for
//   awaitable: frame_, awaitable(frame*)      1.22.1   the frame of a coroutine that is to be awaited; making an
//                                                      awaitable of a frame of our own
//   awaitable_frame_base: coro_               1.22.1   what Asio resumes; swapped while a task waits on its fiber
//     attached_thread_                        1.22.1   who pumps; null while an operation owns the stack
//     caller_                                 1.22.1   the frame below
//     push_frame, pop_frame, attach_thread,   1.22.1   public there; what `co_await` itself calls
//     detach_thread, clear_cancellation_slot,
//     unhandled_exception
//     resume_context_, resume_context         1.24     where an operation leaves its initiation, and Asio finds it when
//       { after_suspend_fn_, _arg_ }                   the frame has suspended
//     final_suspend, return_void,             1.22.1   public there; what the compiler calls, and we do in a coroutine
//     return_value, operator new, delete               of our own (frame_holder.hpp, function_coroutine.hpp)
//   awaitable_thread: bottom_of_stack_, pump, 1.22.1   the stack and its owner
//     entry_point, its constructor                     (one whose bytes are zero owns nothing: held_task.hpp)
//   entry frame: top_of_stack_,               1.22.1   the running frame; the task's cancellation and executor
//     cancellation_state_, u_.executor_,
//     parent_cancellation_slot_,
//     throw_if_cancelled_
//     has_context_switched_                   1.22.1   has the task suspended? Not in every Asio
//   call_stack: top_, of thread_context and   1.22.1   is other code run inline on this fiber?
//     of strand_executor_service
//     of awaitable_launch_context             1.36     the same, for a task that `co_spawn` starts inline
//   executor_function: impl_, impl::complete_ 1.22.1   which handler is it, and where: for with_portal_run_tree
//     and function_, complete                          (spawned_task.hpp)
//   awaitable_handler,                        1.22.1   the handler of the first step that co_spawn dispatches
//   awaitable_async_op_handler                1.27
//   binder0: handler_                         1.22.1   what `dispatch` wraps it in
//   this_coro: the types of what co_await     1.22.1   the same for await_ (await_now.hpp)
//     takes, and their members
//
// Protected members are named through a derived class; private ones in a specialisation of `awaitable_thread`, which
// Asio befriends, or in an explicit instantiation, to which access does not apply. The first two kinds are asked for
// where they are named, by GREENBACK_ASIO_HAS. What stands in an explicit instantiation can't be, and what is public is
// used like anything else: there the compiler's own message names it.
#pragma once

#include <greenback/detail/asio/backend.hpp>
#include <greenback/detail/config.hpp>

#include <coroutine>
#include <memory>

/// Stops a build with an Asio that lacks `name`, a part of the table above.
#define GREENBACK_ASIO_HAS(name, ...) \
    static_assert( \
        requires { __VA_ARGS__; }, "greenback: this Asio (ASIO_VERSION " GREENBACK_ASIO_VERSION_TEXT ") has no " name \
                                   ", which a portal needs: please report this version, or use another one")

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
        GREENBACK_ASIO_HAS("awaitable::frame_", a.frame_);
        return a.frame_;
    }
    template <class T, class Executor>
    static GREENBACK_ASIO_ROOT::awaitable<T, Executor>
    make_awaitable(GREENBACK_ASIO_ROOT::detail::awaitable_frame<T, Executor>* f) noexcept {
        using awaitable = GREENBACK_ASIO_ROOT::awaitable<T, Executor>;
        GREENBACK_ASIO_HAS("awaitable::awaitable(frame)", awaitable(f));
        return awaitable(f);
    }
    template <class Entry> static auto& top_of_stack(Entry& e) noexcept {
        GREENBACK_ASIO_HAS("top_of_stack_ in an entry frame", e.top_of_stack_);
        return e.top_of_stack_;
    }
    template <class Entry> static auto& state(Entry& e) noexcept {
        GREENBACK_ASIO_HAS("cancellation_state_ in an entry frame", e.cancellation_state_);
        return e.cancellation_state_;
    }
    template <class Entry> static auto& parent_slot(Entry& e) noexcept {
        GREENBACK_ASIO_HAS("parent_cancellation_slot_ in an entry frame", e.parent_cancellation_slot_);
        return e.parent_cancellation_slot_;
    }
    template <class Entry> static bool& throw_if_cancelled(Entry& e) noexcept {
        GREENBACK_ASIO_HAS("throw_if_cancelled_ in an entry frame", e.throw_if_cancelled_);
        return e.throw_if_cancelled_;
    }
    /// Has the task suspended since it began? Where Asio wants to know, `co_spawn` posts the completion of one that has
    /// not. Null where it does not: then there is no difference.
    template <class Entry> static bool* has_suspended(Entry& e) noexcept {
        if constexpr (requires { e.has_context_switched_; })
            return &e.has_context_switched_;
        else
            return nullptr;
    }
    template <class Entry> static auto& executor(Entry& e) noexcept {
        GREENBACK_ASIO_HAS("u_.executor_ in an entry frame", e.u_.executor_);
        return e.u_.executor_;
    }
};

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

using private_access = asio::detail::awaitable_thread<access_key>;

/// Protected members of a frame, of any frame: a pointer to member named through a derived class applies to the base.
template <class Executor> struct frame_access : frame_base<Executor> {
    using base = frame_base<Executor>;
    using thread = task_thread<Executor>;

    static std::coroutine_handle<>& coroutine(base& f) noexcept {
        GREENBACK_ASIO_HAS("awaitable_frame_base::coro_", &frame_access::coro_);
        return f.*(&frame_access::coro_);
    }
    static thread*& attached_thread(base& f) noexcept {
        GREENBACK_ASIO_HAS("awaitable_frame_base::attached_thread_", &frame_access::attached_thread_);
        return f.*(&frame_access::attached_thread_);
    }
    static base*& caller(base& f) noexcept {
        GREENBACK_ASIO_HAS("awaitable_frame_base::caller_", &frame_access::caller_);
        return f.*(&frame_access::caller_);
    }

#if !GREENBACK_INITIATES_WHILE_SUSPENDING
    using resume_context = typename base::resume_context;
    /// Where what `f` leaves to be done once it has suspended is looked for, by who resumes it.
    static resume_context*& context(base& f) noexcept {
        GREENBACK_ASIO_HAS("awaitable_frame_base::resume_context_", &frame_access::resume_context_);
        return f.*(&frame_access::resume_context_);
    }
    /// Resume as `awaitable_frame_base::resume` does, but keep the initiation it leaves in `context`.
    static void resume(base& f, resume_context& context) {
        frame_access::context(f) = &context;
        coroutine(f).resume();
    }
    /// What was left is a function and its argument.
    static bool has_initiation(resume_context const& context) noexcept {
        GREENBACK_ASIO_HAS("resume_context::after_suspend_fn_", context.after_suspend_fn_);
        return context.after_suspend_fn_ != nullptr;
    }
    /// A copy; see `loaded_alone`.
    GREENBACK_SWITCH_PATH static resume_context copied(resume_context const& context) noexcept {
        return {loaded_alone(context.after_suspend_fn_), loaded_alone(context.after_suspend_arg_)};
    }
    static void initiate(resume_context const& context) { context.after_suspend_fn_(context.after_suspend_arg_); }
    static void leave(resume_context& context, void (*function)(void*), void* argument) noexcept {
        context = {function, argument};
    }
#endif
};

/// Protected members of the owner of a task.
template <class Executor> struct thread_access : task_thread<Executor> {
    using base = task_thread<Executor>;
    static entry_awaitable<Executor>& bottom(base& t) noexcept {
        GREENBACK_ASIO_HAS("awaitable_thread::bottom_of_stack_", &thread_access::bottom_of_stack_);
        return t.*(&thread_access::bottom_of_stack_);
    }
    static void run(base& t) {
        GREENBACK_ASIO_HAS("awaitable_thread::pump", &thread_access::pump);
        (t.*(&thread_access::pump))();
    }
    static bool owns(base& t) noexcept { return bottom(t).valid(); }
};

/// Private members by their address, as an explicit instantiation may name them.
template <class Tag, auto Member> struct reveal {
    friend constexpr auto revealed(Tag) { return Member; }
};
/// `revealed(tag())` is then the address of the member.
#define GREENBACK_REVEAL(tag, ...) \
    struct tag { \
        friend constexpr auto revealed(tag); \
    }; \
    template struct reveal<tag, __VA_ARGS__>

/// The first step of a task that `co_spawn` starts: its handler, and the function that it is erased to.
#if GREENBACK_ASIO_VERSION < 102700
using first_step_handler = asio::detail::binder0<asio::detail::awaitable_handler<asio::any_io_executor>>;
#else
using first_step_handler =
    asio::detail::binder0<asio::detail::awaitable_async_op_handler<void(), asio::any_io_executor>>;
#endif

GREENBACK_REVEAL(function_impl_tag, &asio::detail::executor_function::impl_);
GREENBACK_REVEAL(function_complete_tag,
                 &asio::detail::executor_function::complete<first_step_handler, std::allocator<void>>);
GREENBACK_REVEAL(function_handler_tag,
                 &asio::detail::executor_function::impl<first_step_handler, std::allocator<void>>::function_);

using erased_function = asio::detail::executor_function;
template <class C, class M> C class_of_member(M C::*);

/// What a thread is in the middle of, innermost first. Each entry lies on the stack of the function that made it.
using strand_in_use = asio::detail::strand_executor_service::implementation_type::element_type;
GREENBACK_REVEAL(loop_stack_tag,
                 &asio::detail::call_stack<asio::detail::thread_context, asio::detail::thread_info_base>::top_);
GREENBACK_REVEAL(strand_stack_tag, &asio::detail::call_stack<strand_in_use>::top_);

#if GREENBACK_ASIO_VERSION >= 103600
GREENBACK_REVEAL(launch_stack_tag, &asio::detail::call_stack<asio::detail::awaitable_launch_context>::top_);
#endif

/// The innermost entry; null if there is none.
template <class Entry>
GREENBACK_SWITCH_PATH inline void const* innermost(asio::detail::tss_ptr<Entry> const& top) noexcept {
    Entry* const entry = top;
    return entry;
}

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
