// SPDX-License-Identifier: MIT
// The coroutine behind `with_portal_run_sync`: a frame on the task's stack that is its own trampoline.
#pragma once

#include <greenback/detail/fiber/fiber_source.hpp>
#include <greenback/detail/portal/call_checks.hpp>
#include <greenback/detail/portal/portal_core.hpp>

#include <coroutine>
#include <cstddef>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

// ---- the coroutine -------------------------------------------------------------------------------------------------

/// The part of a promise that Asio sees: the frame is a member, and the coroutine behind it is ours, so its awaits are
/// not limited to what Asio's own promise allows.
template <class R, class Executor> class frame_holder {
public:
    using frame = frame_of<R, Executor>;

    std::suspend_always initial_suspend() const noexcept { return {}; }
    auto final_suspend() noexcept { return frame_.final_suspend(); }
    void return_void() const noexcept {} // a result is stored in the frame by whoever has it
    void unhandled_exception() noexcept { frame_.unhandled_exception(); }
    frame& asio_frame() noexcept { return frame_; }

#if !defined(ASIO_DISABLE_AWAITABLE_FRAME_RECYCLING) && !defined(BOOST_ASIO_DISABLE_AWAITABLE_FRAME_RECYCLING)
    void* operator new(std::size_t size) { return frame_base<Executor>::operator new(size); }
    void operator delete(void* p, std::size_t size) { frame_base<Executor>::operator delete(p, size); }
#endif

protected:
    asio::awaitable<R, Executor> awaitable_for(std::coroutine_handle<> own) noexcept {
        frame_access<Executor>::coroutine(frame_) = own;
        return private_access::make_awaitable(&frame_);
    }

private:
    frame frame_;
};

/// Chooses `portal_promise` for a coroutine that returns an `awaitable`.
struct portal_body {};

/// A reference that takes no room if there is nothing to refer to.
template <class T> class reference_to {
public:
    reference_to(T& to) noexcept : to_(&to) {}
    T& get() const noexcept { return *to_; }

private:
    T* to_;
};
template <class T>
    requires std::is_empty_v<T>
class reference_to<T> : T {
public:
    reference_to(T&) noexcept {}
    T& get() noexcept { return *this; }
};

/// The promise of a portal that runs a function: the coroutine's parameters are the stack's source, the function and
/// its arguments, and the promise, which outlives none of them, refers to those.
template <class R, class Executor, class Stack, class F, class... Args>
class portal_promise : public frame_holder<R, Executor> {
    using core = portal_core<Executor>;

public:
    portal_promise(portal_body, Stack& stack, F& f, Args&... args) noexcept
        : stack_(stack), shortcut_(stack), f_(f), args_(args...) {}
    ~portal_promise() {
        if (core_) [[unlikely]] {
            core_->abandon();
            end(*core_);
        }
    }

    asio::awaitable<R, Executor> get_return_object() noexcept { return this->awaitable_for(own_handle()); }

    /// `co_await first_run()`: run the function, on the portal in force if there is one. Whether it is over is the
    /// answer.
    struct first_run {};
    auto await_transform(first_run) noexcept {
        struct awaiter {
            portal_promise& self;
            bool await_ready() const noexcept { return false; }
            GREENBACK_IN_AWAIT_SUSPEND bool await_suspend(std::coroutine_handle<>) const { return self.begin(); }
            bool await_resume() const noexcept { return self.is_over(); }
        };
        return awaiter{*this};
    }

    /// `co_await further_run()`: the task was resumed, and with it this coroutine: go on.
    struct further_run {};
    auto await_transform(further_run) noexcept {
        struct awaiter {
            portal_promise& self;
            bool await_ready() const noexcept { return false; }
            GREENBACK_IN_AWAIT_SUSPEND bool await_suspend(std::coroutine_handle<>) const noexcept {
                return self.core_->run_from_trampoline();
            }
            bool await_resume() const noexcept { return self.is_over(); }
        };
        return awaiter{*this};
    }

private:
    Stack& stack() noexcept { return stack_.get(); }
    std::coroutine_handle<> own_handle() noexcept { return std::coroutine_handle<portal_promise>::from_promise(*this); }

    /// @returns whether this coroutine stays suspended
    GREENBACK_SWITCH_PATH bool begin() {
        thread_state& here = this_resumer_or_unknown();
        if (!here.current) [[likely]] {
            if (fiber* const f = shortcut_.take(stack(), here)) [[likely]] {
                if (here.exceptions->any()) [[unlikely]]
                    return enter_slow(*f, here);
                core* portal = make_portal(*f, here);
                if (!core::enter_new(portal, here)) [[unlikely]]
                    return leave_first();
                return portal->must_resume() || !end(*portal);
            }
        }
        return begin_slow();
    }

    /// The same wherever the stack comes from, and if there is a portal in force.
    GREENBACK_OUT_OF_LINE bool begin_slow() {
        if constexpr (requires { stack().occupy(); })
            stack().occupy();
        thread_state& here = this_thread();
        if (core::in_force(here, this->asio_frame())) { // it runs this coroutine: so be it
            call();
            if constexpr (requires { stack().vacate(); })
                stack().vacate();
            return false;
        }
        return enter_slow(stack().take(here), here);
    }

    GREENBACK_OUT_OF_LINE bool enter_slow(fiber& f, thread_state& here) noexcept {
        if (!make_portal(f, here)->enter_new_slow(here))
            return leave_first();
        return core_->must_resume() || !end(*core_);
    }

    GREENBACK_OUT_OF_LINE bool leave_first() noexcept {
        core& portal = *core_; // not to be read later: while this coroutine stays suspended, it may be gone
        return portal.leave_first(this->asio_frame()) || !end(portal);
    }

    GREENBACK_SWITCH_PATH core* make_portal(fiber& f, thread_state& here) noexcept {
        f.start(&job, this);
        return core_ = new (f.portal_memory) core(this->asio_frame(), here);
    }

    GREENBACK_SWITCH_PATH bool is_over() noexcept { return !core_ || is_over_later(); }
    GREENBACK_OUT_OF_LINE bool is_over_later() noexcept {
        if (!core_->done())
            return false;
        return end(*core_);
    }

    /// On the thread that the fiber came out on for the last time. @returns true
    GREENBACK_SWITCH_PATH bool end(core& portal) noexcept {
        fiber& f = portal.own_fiber();
        thread_state& here = portal.entered_on();
        portal.~core();
        core_ = nullptr;
        stack().give_back(here, f);
        return true;
    }

    /// The fiber's job.
    static void job(void* self) noexcept { static_cast<portal_promise*>(self)->call(); }

    /// The result goes into the frame.
    GREENBACK_SWITCH_PATH void call() noexcept {
        try {
            if constexpr (std::is_void_v<R>) {
                call_function(std::index_sequence_for<Args...>());
                this->asio_frame().return_void();
            } else {
                this->asio_frame().return_value(call_function(std::index_sequence_for<Args...>()));
            }
        } catch (...) {
            this->asio_frame().unhandled_exception();
        }
    }

    /// `f` and `args` are used once, so they are passed on as rvalues, as `std::thread` does. Without the standard
    /// library where it can be done: `std::apply` and `std::invoke` would be eight frames in each backtrace.
    template <std::size_t... I> GREENBACK_SWITCH_PATH decltype(auto) call_function(std::index_sequence<I...>) {
        if constexpr (std::is_member_pointer_v<F>)
            return std::invoke(std::move(f_), std::move(std::get<I>(args_))...);
        else
            return std::move(f_)(std::move(std::get<I>(args_))...);
    }

    core* core_ = nullptr; ///< on the fiber's stack, from `begin` to `end`
    [[no_unique_address]] reference_to<Stack> stack_;
    [[no_unique_address]] typename Stack::shortcut shortcut_;
    F& f_;
    std::tuple<Args&...> args_;
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE

template <class R, class Executor, class Stack, class F, class... Args>
struct std::coroutine_traits<GREENBACK_ASIO_ROOT::awaitable<R, Executor>, greenback::detail::portal_body, Stack, F,
                             Args...> {
    using promise_type = greenback::detail::portal_promise<R, Executor, Stack, F, Args...>;
};

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

template <class R, class Executor, class Stack, class F, class... Args>
asio::awaitable<R, Executor> portal_coroutine(portal_body, Stack, F, Args...) {
    using promise = portal_promise<R, Executor, Stack, F, Args...>;
    bool over = co_await typename promise::first_run();
    while (!over)
        over = co_await typename promise::further_run();
}

template <class R, class Executor, class Stack, class F, class... Args>
GREENBACK_SWITCH_PATH inline asio::awaitable<R, Executor> run_on_portal(portal_body tag, Stack&& stack, F&& f,
                                                                        Args&&... args) {
    if constexpr (callable_with_copies<F, Args...>)
        return portal_coroutine<R, Executor, Stack, std::decay_t<F>, std::decay_t<Args>...>(
            tag, std::forward<Stack>(stack), std::forward<F>(f), std::forward<Args>(args)...);
    else
        return asio::awaitable<R, Executor>(); // does not compile: `checked_call` has said why
}

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
