// SPDX-License-Identifier: MIT
// The executor of a tree of tasks: it gives each task that `co_spawn` starts on it a portal, and forwards the rest.
//
// `co_spawn` makes an entry frame E and dispatches its first step to the task's executor: that is where a new task can
// be recognised. The handler arrives type-erased, in an `executor_function`; what it is tells the address of the
// function that completes it, and the handler in it owns the task. E itself must not run on a fiber, and the frame that
// should does not exist yet: so E gets a *first_step_hook* for a handle, a coroutine that resumes E once and puts a
// trampoline into the frame that E has pushed by then.
#pragma once

#include <greenback/detail/asio/spawned_task.hpp>
#include <greenback/detail/config.hpp>
#include <greenback/detail/portal/task_trampoline.hpp>

#include <concepts>
#include <coroutine>
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// Resumes an entry frame once; the frame it has then pushed gets a portal.
class first_step_hook {
public:
    class promise_type;
    using handle = std::coroutine_handle<promise_type>;
    using executor = asio::any_io_executor;
    using frames = frame_access<executor>;
    using trampoline = task_trampoline<executor>;

    static void guard(entry_frame<executor>& entry) { run(entry); }

private:
    static first_step_hook run(entry_frame<executor>& entry);
};

class first_step_hook::promise_type : public self_destroying {
public:
    explicit promise_type(entry_frame<executor>& entry) noexcept : entry_(&entry) {}
    first_step_hook get_return_object() noexcept {
        own_ = std::exchange(frames::coroutine(*entry_), handle::from_promise(*this));
        return {};
    }
    ~promise_type() {
        if (own_) // destroyed, not resumed: the task never started
            put_back().destroy();
    }
    std::coroutine_handle<> put_back() noexcept { return frames::coroutine(*entry_) = std::exchange(own_, nullptr); }

private:
    entry_frame<executor>* entry_;
    std::coroutine_handle<> own_;
};

inline first_step_hook first_step_hook::run(entry_frame<executor>& entry) {
    promise_type& self = co_await promise_of_this<promise_type>();
    self.put_back().resume();
    frame_base<executor>* const first = private_access::top_of_stack(entry);
    if (!first || first == &entry)
        co_return; // it ended instead
    try {
        trampoline::lead(*first, trampoline::extent::call, nullptr);
    } catch (...) { // no memory: the task fails as if its function had thrown that
        first->unhandled_exception();
        first->pop_frame();
    }
}

/// Forwards to `Inner`; see the top of the file.
template <class Inner> class tree_executor {
public:
    /// From an `Inner` and nothing that converts to it: asking whether a tree_executor does would ask about itself.
    template <std::same_as<Inner> I> explicit tree_executor(I inner) noexcept : inner_(std::move(inner)) {}

    template <class Property>
        requires asio::can_require<Inner const&, Property>::value
    auto require(Property const& p) const {
        return wrap(asio::require(inner_, p));
    }
    template <class Property>
        requires asio::can_prefer<Inner const&, Property>::value
    auto prefer(Property const& p) const {
        return wrap(asio::prefer(inner_, p));
    }
    template <class Property>
        requires asio::can_query<Inner const&, Property>::value
    auto query(Property const& p) const noexcept(asio::is_nothrow_query<Inner const&, Property>::value) ->
        typename asio::query_result<Inner const&, Property>::type {
        return asio::query(inner_, p);
    }

    template <class Function> void execute(Function&& f) const {
        if constexpr (std::is_same_v<std::decay_t<Function>, erased_function>) {
            if (auto* const entry = spawned_task(f))
                first_step_hook::guard(*entry);
        }
#if GREENBACK_ASIO_VERSION < 102600
        asio::execution::execute(inner_, std::forward<Function>(f)); // the member function is private there
#else
        inner_.execute(std::forward<Function>(f));
#endif
    }

    friend bool operator==(tree_executor const& a, tree_executor const& b) noexcept { return a.inner_ == b.inner_; }
    friend bool operator!=(tree_executor const& a, tree_executor const& b) noexcept { return !(a == b); }

private:
    template <class Other> static tree_executor<std::decay_t<Other>> wrap(Other&& other) {
        return tree_executor<std::decay_t<Other>>(std::forward<Other>(other));
    }
    Inner inner_;
};

/// The current task's executor is a tree's for as long as this lives.
template <class Executor> class tree_scope {
public:
    /// @pre on the fiber of this task's portal
    tree_scope() : executor_(own_portal().task_executor()), outer_(executor_) {
        using direct = asio::io_context::executor_type;
        // Asio 1.22.1's target() doesn't compare the type: it would take a strand, or a pool, for a bare io_context.
        if (same_type(executor_.target_type(), typeid(direct)))
            executor_ = Executor(tree_executor<direct>(*outer_.template target<direct>())); // small: not allocated
        else
            executor_ = Executor(tree_executor<Executor>(outer_));
        own_portal().executor_has_changed(); // at the end nothing is known of the tree's, whose type nobody else has
    }
    tree_scope(tree_scope const&) = delete;
    ~tree_scope() { executor_ = outer_; }

private:
    static portal_core<Executor>& own_portal() noexcept {
        portal_base* const p = raw_current_portal();
        GREENBACK_ASSERT(p && p->is_prepared()); // it pumps a coroutine, the one that makes this
        return static_cast<portal_core<Executor>&>(*p);
    }

    Executor& executor_; ///< in the task's entry frame
    Executor outer_;
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
