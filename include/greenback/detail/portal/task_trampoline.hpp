// SPDX-License-Identifier: MIT
// The coroutine that gives frames of a task, which are not our own, a portal.
#pragma once

#include <greenback/detail/portal/function_coroutine.hpp>

#include <coroutine>
#include <exception>
#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// `co_await` it for the promise of the very coroutine; it does not suspend.
template <class Promise> struct promise_of_this {
    Promise* promise = nullptr;
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<Promise> h) noexcept {
        promise = &h.promise();
        return false;
    }
    Promise& await_resume() const noexcept { return *promise; }
};

/// A trampoline for a portal that pumps frames `first` and above, down to a given base. Its handle is put into `first`;
/// Asio resumes it where it would have resumed `first`.
///
/// It belongs to the frames whose handle leads to it: destroyed through one of them, it unwinds the fiber and destroys
/// that frame's own coroutine. When the pump has reached the base it destroys itself.
template <class Executor> class task_trampoline {
public:
    class promise_type;
    using handle = std::coroutine_handle<promise_type>;
    using frame = frame_base<Executor>;
    using frames = frame_access<Executor>;
    using core = portal_core<Executor>;

    enum class extent {
        call, ///< until `first` is popped
        task, ///< until the task's entry frame is on top
    };

    /// Put a trampoline into `first`, a suspended frame. @param f the fiber, or null: taken when `first` starts
    static void lead(frame& first, extent e, fiber* f) { run(first, e, f); }

private:
    /// Its first step is the one of `first`, on the stack of whoever pumps the task.
    static task_trampoline run(frame& first, extent e, fiber* f) {
        promise_type& self = co_await promise_of_this<promise_type>();
        thread_state& here = this_thread();
        if (core* const outer = core::in_force(here, first); outer && e == extent::call)
            co_await instead_of_this{outer}; // its fiber resumes `first` right now: so be it
        self.put_back();
        if (!f) {
            try {
                f = &borrow_fiber(here);
            } catch (...) {
                first.unhandled_exception(); // as if the coroutine had thrown it at once
            }
            if (!f) {
                first.pop_frame();
                co_return;
            }
        }
        self.core_ = new (f->portal_memory) core(first, handle::from_promise(self), here);
        job work{*self.core_,
                 e == extent::call ? *frames::caller(first) : *frames::attached_thread(first)->entry_point()};
        f->start(&job::run, &work);
        while (!co_await run_fiber{self}) {
        }
    }

    struct job {
        core& portal;
        frame& base;
        static void run(void* self) noexcept {
            auto const& j = *static_cast<job*>(self);
            j.portal.pump_task(j.base);
        }
    };

    /// What the trampoline awaits, again and again, until the answer is that it is over.
    struct run_fiber {
        promise_type& self;
        bool await_ready() const noexcept { return false; }
        GREENBACK_IN_AWAIT_SUSPEND bool await_suspend(std::coroutine_handle<>) const noexcept {
            return self.core_->run_from_trampoline();
        }
        bool await_resume() const noexcept { return self.core_->done(); }
    };

    /// Destroy the trampoline and resume the frame's own coroutine in its place.
    struct instead_of_this {
        core* outer;
        bool await_ready() const noexcept { return false; }
        void await_suspend(handle h) const {
            promise_type& self = h.promise();
            std::coroutine_handle<> const next = self.own_;
            outer->replace_handle(*self.first_, h, next);
            self.leave();
            h.destroy();
            next.resume();
        }
        void await_resume() const noexcept {}
    };
};

template <class Executor> class task_trampoline<Executor>::promise_type {
public:
    promise_type(frame& first, extent, fiber* f) noexcept : first_(&first), fiber_(f) {}

    task_trampoline get_return_object() noexcept {
        own_ = std::exchange(frames::coroutine(*first_), handle::from_promise(*this));
        return {};
    }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; } // it destroys itself
    void return_void() noexcept {
        if (core_)
            end();
        leave();
    }
    [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }

    ~promise_type() {
        if (!first_)
            return;
        frame* destroyed = first_;
        if (core_) {
            destroyed = core_->destroyed_first();
            core_->abandon();
            end();
        } else {
            put_back();
            if (fiber_)
                return_fiber(this_thread(), *fiber_);
        }
        frames::coroutine(*destroyed).destroy();
    }

private:
    friend class task_trampoline;

    void put_back() noexcept {
        if (own_)
            frames::coroutine(*first_) = std::exchange(own_, nullptr);
    }
    /// On the thread that the fiber came out on for the last time.
    void end() noexcept {
        thread_state& here = core_->entered_on();
        fiber& f = core_->own_fiber();
        core_->~core();
        core_ = nullptr;
        return_fiber(here, f);
    }
    /// The frames no longer lead here.
    void leave() noexcept { first_ = nullptr; }

    frame* first_;                ///< null once there is nothing left to destroy
    fiber* fiber_;                ///< taken beforehand, if it was
    std::coroutine_handle<> own_; ///< the handle of `first_`, until it starts
    core* core_ = nullptr;        ///< on the fiber's stack, from the first step of `first_` to the end
};

/// The coroutine of `ensure_portal`: it gives a portal to the frame that awaits it, and is gone.
struct ensure_portal_body {};

template <class Executor> class ensure_portal_promise : public frame_holder<void, Executor> {
public:
    explicit ensure_portal_promise(ensure_portal_body) noexcept {}
    asio::awaitable<void, Executor> get_return_object() noexcept {
        return this->awaitable_for(std::coroutine_handle<ensure_portal_promise>::from_promise(*this));
    }
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE

template <class Executor>
struct std::coroutine_traits<GREENBACK_ASIO_ROOT::awaitable<void, Executor>, greenback::detail::ensure_portal_body> {
    using promise_type = greenback::detail::ensure_portal_promise<Executor>;
};

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

template <class Executor> asio::awaitable<void, Executor> ensure_portal_coroutine(ensure_portal_body) {
    using trampoline = task_trampoline<Executor>;
    ensure_portal_promise<Executor>& promise = co_await promise_of_this<ensure_portal_promise<Executor>>();
    frame_base<Executor>& self = promise.asio_frame();
    promise.asio_frame().return_void();
    thread_state& here = this_thread();
    if (!portal_core<Executor>::in_force(here, self)) {
        frame_base<Executor>* const caller = frame_access<Executor>::caller(self);
        // Awaited by the entry frame itself, it would serve nobody: nothing else of this task will run.
        if (caller != frame_access<Executor>::attached_thread(self)->entry_point()) {
            fiber& f = borrow_fiber(here);
            try {
                trampoline::lead(*caller, trampoline::extent::task, &f);
            } catch (...) {
                return_fiber(here, f);
                throw;
            }
        }
    }
}

/// `f(args...)`, called when it is awaited.
template <class F, class... Args> std::invoke_result_t<F, Args...> call_asynchronously(F f, Args... args) {
    co_return co_await std::invoke(std::move(f), std::move(args)...);
}

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
