// SPDX-License-Identifier: MIT
// The coroutine that gives frames of a task, which are not our own, a portal.
#pragma once

#include <greenback/detail/config.hpp>
#include <greenback/detail/portal/coroutine_portal.hpp>
#include <greenback/detail/task/self_destroying.hpp>

#include <coroutine>
#include <new>
#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

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
    using portal = coroutine_portal<Executor>;
    using runner = portal_core<Executor>;

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
        if (runner* const outer = runner::find_runner(here, first); outer && e == extent::call)
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
        self.portal_ = new (f->portal_memory) portal(first, handle::from_promise(self), here);
        job work{*self.portal_,
                 e == extent::call ? *frames::caller(first) : *frames::attached_thread(first)->entry_point()};
        f->start(&job::run, &work);
        while (!co_await run_fiber{self}) {
        }
    }

    struct job {
        portal& of;
        frame& base;
        static void run(void* self) noexcept {
            auto const& j = *static_cast<job*>(self);
            j.of.pump_task(j.base);
            j.of.end_scopes();
        }
    };

    /// Run the fiber until it comes out. @returns whether its job is over
    struct run_fiber {
        promise_type& self;
        bool await_ready() const noexcept { return false; }
        GREENBACK_IN_AWAIT_SUSPEND bool await_suspend(std::coroutine_handle<>) const noexcept {
            return self.portal_->resume_from_trampoline();
        }
        bool await_resume() const noexcept { return self.portal_->done(); }
    };

    /// Destroy the trampoline and resume the frame's own coroutine in its place.
    struct instead_of_this {
        runner* outer;
        bool await_ready() const noexcept { return false; }
        void await_suspend(handle h) const {
            promise_type& self = h.promise();
            std::coroutine_handle<> const next = self.own_;
            outer->replace_handle(*self.first_, h, next);
            self.let_go();
            h.destroy();
            next.resume();
        }
        void await_resume() const noexcept {}
    };
};

template <class Executor> class task_trampoline<Executor>::promise_type : public self_destroying {
public:
    promise_type(frame& first, extent, fiber* f) noexcept : first_(&first), fiber_(f) {}

    task_trampoline get_return_object() noexcept {
        own_ = std::exchange(frames::coroutine(*first_), handle::from_promise(*this));
        return {};
    }
    void return_void() noexcept {
        if (portal_)
            end();
        let_go();
    }

    ~promise_type() {
        if (!first_)
            return;
        frame* destroyed = first_;
        if (portal_) {
            destroyed = portal_->destroyed_first();
            portal_->abandon();
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
        thread_state& here = portal_->entered_on();
        fiber& f = portal_->own_fiber();
        portal_->~portal();
        portal_ = nullptr;
        return_fiber(here, f);
    }
    /// The frames no longer lead here.
    void let_go() noexcept { first_ = nullptr; }

    frame* first_;                ///< null once there is nothing left to destroy
    fiber* fiber_;                ///< taken beforehand, if it was
    std::coroutine_handle<> own_; ///< the handle of `first_`, until it starts
    portal* portal_ = nullptr;    ///< on the fiber's stack, from the first step of `first_` to the end
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
