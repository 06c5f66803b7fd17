// SPDX-License-Identifier: MIT
// The coroutine behind `with_portal_run_sync`: a frame on the task's stack that is its own trampoline.
#pragma once

#include <greenback/detail/config.hpp>
#include <greenback/detail/fiber/fiber_source.hpp>
#include <greenback/detail/portal/call_checks.hpp>
#include <greenback/detail/portal/frame_holder.hpp>
#include <greenback/detail/portal/function_portal.hpp>

#include <coroutine>
#include <cstddef>
#include <functional>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// Chooses `function_promise` for a coroutine that returns an `awaitable`.
struct runs_function {};

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

/// The coroutine's parameters are the source of its fiber, the function and its arguments, and the promise, which
/// outlives none of them, refers to those.
template <class R, class Executor, fiber_source Source, class F, class... Args>
class function_promise : public frame_holder<R, Executor> {
    using portal = function_portal<Executor>;

public:
    function_promise(runs_function, Source& source, F& f, Args&... args) noexcept
        : source_(source), shortcut_(source), f_(f), args_(args...) {}
    ~function_promise() {
        if (portal_) [[unlikely]] {
            portal_->abandon();
            end(*portal_);
        }
    }

    asio::awaitable<R, Executor> get_return_object() noexcept { return this->awaitable_for(own_handle()); }

    /// `co_await first_run()`: run the function, on the portal in force if there is one. Whether it is over is the
    /// answer.
    struct first_run {};
    auto await_transform(first_run) noexcept {
        struct awaiter {
            function_promise& self;
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
            function_promise& self;
            bool await_ready() const noexcept { return false; }
            GREENBACK_IN_AWAIT_SUSPEND bool await_suspend(std::coroutine_handle<>) const noexcept {
                return self.portal_->resume_from_trampoline();
            }
            bool await_resume() const noexcept { return self.is_over(); }
        };
        return awaiter{*this};
    }

private:
    Source& source() noexcept { return source_.get(); }
    std::coroutine_handle<> own_handle() noexcept {
        return std::coroutine_handle<function_promise>::from_promise(*this);
    }

    /// @returns whether this coroutine stays suspended
    GREENBACK_SWITCH_PATH bool begin() {
        thread_state& here = this_resumer_or_unknown();
        if (!here.current) [[likely]] {
            if (fiber* const f = shortcut_.take(source(), here)) [[likely]] {
                if (here.exceptions->any()) [[unlikely]]
                    return enter_slow(*f, here);
                portal* p = make_portal(*f, here);
                if (!portal::enter_new(p, here)) [[unlikely]]
                    return come_out_new();
                return p->must_resume_trampoline() || !end(*p);
            }
        }
        return begin_slow();
    }

    /// The same wherever the fiber comes from, and if there is a portal in force.
    GREENBACK_OUT_OF_LINE bool begin_slow() {
        source().occupy();
        thread_state& here = this_thread();
        if (portal::find_runner(here, this->asio_frame())) { // it runs this coroutine: so be it
            job(this);
            source().vacate();
            return false;
        }
        return enter_slow(source().take(here), here);
    }

    GREENBACK_OUT_OF_LINE bool enter_slow(fiber& f, thread_state& here) noexcept {
        if (!make_portal(f, here)->enter_new_slow(here))
            return come_out_new();
        return portal_->must_resume_trampoline() || !end(*portal_);
    }

    GREENBACK_OUT_OF_LINE bool come_out_new() noexcept {
        portal& p = *portal_; // not to be read later: while this coroutine stays suspended, it may be gone
        return p.come_out_new(this->asio_frame()) || !end(p);
    }

    GREENBACK_SWITCH_PATH portal* make_portal(fiber& f, thread_state& here) noexcept {
        f.start(&job, this);
        return portal_ = new (f.portal_memory) portal(this->asio_frame(), here);
    }

    GREENBACK_SWITCH_PATH bool is_over() noexcept { return !portal_ || is_over_later(); }
    GREENBACK_OUT_OF_LINE bool is_over_later() noexcept {
        if (!portal_->done())
            return false;
        return end(*portal_);
    }

    /// On the thread that the fiber came out on for the last time. @returns true
    GREENBACK_SWITCH_PATH bool end(portal& p) noexcept {
        fiber& f = p.own_fiber();
        thread_state& here = p.entered_on();
        p.~portal();
        portal_ = nullptr;
        source().give_back(here, f);
        return true;
    }

    /// The fiber's job. The result goes into the frame.
    static void job(void* promise) noexcept {
        function_promise& self = *static_cast<function_promise*>(promise);
        try {
            if constexpr (std::is_void_v<R>) {
                self.call(std::index_sequence_for<Args...>());
                self.asio_frame().return_void();
            } else {
                self.asio_frame().return_value(self.call(std::index_sequence_for<Args...>()));
            }
        } catch (...) {
            self.asio_frame().unhandled_exception();
        }
        if (self.portal_)
            self.portal_->end_scopes();
    }

    /// `f` and `args` are used once, so they are passed on as rvalues, as `std::thread` does. Without the standard
    /// library where it can be done: `std::apply` and `std::invoke` would be eight frames in each backtrace.
    template <std::size_t... I> GREENBACK_SWITCH_PATH decltype(auto) call(std::index_sequence<I...>) {
        if constexpr (std::is_member_pointer_v<F>)
            return std::invoke(std::move(f_), std::move(std::get<I>(args_))...);
        else
            return std::move(f_)(std::move(std::get<I>(args_))...);
    }

    portal* portal_ = nullptr; ///< on the fiber's stack, from `begin` to `end`
    [[no_unique_address]] reference_to<Source> source_;
    [[no_unique_address]] typename Source::shortcut shortcut_;
    F& f_;
    std::tuple<Args&...> args_;
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE

template <class R, class Executor, class Source, class F, class... Args>
struct std::coroutine_traits<GREENBACK_ASIO_ROOT::awaitable<R, Executor>, greenback::detail::runs_function, Source, F,
                             Args...> {
    using promise_type = greenback::detail::function_promise<R, Executor, Source, F, Args...>;
};

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

template <class R, class Executor, class Source, class F, class... Args>
asio::awaitable<R, Executor> function_coroutine(runs_function, Source, F, Args...) {
    using promise = function_promise<R, Executor, Source, F, Args...>;
    bool over = co_await typename promise::first_run();
    while (!over)
        over = co_await typename promise::further_run();
}

/// @returns the coroutine that runs `f(args...)` on a fiber from `source`
template <class R, class Executor, class Source, class F, class... Args>
GREENBACK_SWITCH_PATH inline asio::awaitable<R, Executor> run_on_portal(Source&& source, F&& f, Args&&... args) {
    if constexpr (callable_with_copies<F, Args...>)
        return function_coroutine<R, Executor, Source, std::decay_t<F>, std::decay_t<Args>...>(
            runs_function(), std::forward<Source>(source), std::forward<F>(f), std::forward<Args>(args)...);
    else
        return asio::awaitable<R, Executor>(); // does not compile: `checked_call` has said why
}

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
