// SPDX-License-Identifier: MIT
// A portal as `await_` sees it where the task's executor type does not matter.
#pragma once

#include <greenback/detail/asio/access.hpp>
#include <greenback/detail/config.hpp>
#include <greenback/detail/fiber/portal_base.hpp>
#include <greenback/detail/throw_error.hpp>

#include <type_traits>
#include <typeinfo>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// The same type? The address answers for nearly every call; only a type from another shared object needs the name.
inline bool same_type(std::type_info const& a, std::type_info const& b) noexcept { return &a == &b || a == b; }

/// The kind of the portals of tasks with this executor type.
template <class Executor>
[[gnu::visibility("default")]] inline constexpr portal_kind kind_of_portal = {&typeid(Executor), GREENBACK_BACKEND};

class any_portal : public portal_base {
public:
    using portal_base::portal_base;

    /// The task's cancellation; it lives in the task's entry frame, whatever the executor.
    asio::cancellation_state& cancellation() noexcept { return *cancellation_; }
    virtual asio::cancellation_slot parent_slot() const noexcept = 0;
    virtual bool& throws_if_cancelled() noexcept = 0;

    /// What `co_await` does before it starts anything: a task already cancelled throws.
    void check_cancelled() {
        if (!!cancellation_->cancelled() && throws_if_cancelled()) [[unlikely]]
            throw_cancelled();
    }

    /// For who has found the portal before code of somebody else's ran, which may have awaited and swallowed that.
    void check_abandoned() const {
        if (abandoned()) [[unlikely]]
            throw_abandoned();
    }

    virtual asio::any_io_executor executor() const = 0;

    /// Is `own`, of whatever type, the task's executor? What the task's `any_io_executor` holds stays where it is: so
    /// its type has to be asked for only once.
    template <class Own> GREENBACK_SWITCH_PATH bool runs_on(Own const& own) noexcept {
        if (held_executor_type_ == &typeid(Own)) [[likely]]
            return *static_cast<Own const*>(held_executor_) == own;
        return learn_whether_it_runs_on(own);
    }

    /// The task has another executor from now on, in the place of the one that may have been asked about.
    void executor_has_changed() noexcept { held_executor_type_ = nullptr; }

    /// In the handler: the operation is over, continue the task. The portal may be gone when this returns.
    ///
    /// `enter`, where nothing but the switch itself lies between the handler and the fiber: a call that is left on one
    /// stack while returns are taken on the other is mispredicted, and so is one of the fiber's, 6 ns each. So this is
    /// inlined in the handler, and short enough for the handler to be inlined in whatever calls it.
    GREENBACK_SWITCH_PATH void resume_from_operation() {
        any_portal* self = this;
        fetch_frames(self);
        begin_resumption(*self);
        switch_in(self, operation_is_over);
        end_resumption(*self);
    }
    /// The handler is destroyed without having been called: let the task be destroyed, through its executor.
    virtual void drop_from_operation() noexcept = 0;

    /// On the fiber: go out, leaving `todo` to be run, and come back when the task is resumed. Meanwhile the task is
    /// held here, for an operation's handler.
    /// @pre not abandoned
    /// @returns whether the operation is over; if not, it was not started
    /// @throws no_portal · abandoned if the task is being destroyed instead
    GREENBACK_SWITCH_PATH bool suspend_for_operation(after_suspend todo) {
        if (!holds_task_) [[unlikely]]
            return take_task_and_suspend(todo);
        GREENBACK_ASSERT(holds_task(true));
        after_suspend_ = todo;
        if (switch_out(own_fiber()) == operation_is_over) [[likely]]
            return true;
        check_abandoned();
        return false;
    }

    [[noreturn]] GREENBACK_COLD static void throw_cancelled() {
        throw system_error(error_code(asio::error::operation_aborted), "co_await");
    }

protected:
    ~any_portal() = default;

    /// The word with which an operation's handler enters the fiber. Whoever else does brings the fiber's address.
    static constexpr void* operation_is_over = nullptr;

    /// `suspend_for_operation` where the task has to be taken from another owner, or where the synchronous code was
    /// called by a coroutine that runs on the fiber.
    virtual bool take_task_and_suspend(after_suspend todo) = 0;
    /// The fiber has come out where an operation's handler had resumed it, and not for another operation of ours; or
    /// that operation was not started.
    virtual void come_out_of_resumption(bool not_started) = 0;

    /// Is the task held here, attached to what holds it, and the synchronous code that of the portal's own function?
    /// Then an operation of ours changes nothing about that, from its initiation to its end. Written by
    /// `take_task_and_suspend`, and reset by `await`.
    bool holds_task_;
    /// For assertions: is what that says true, while the fiber is in, or out in an operation of ours?
    virtual bool holds_task(bool fiber_is_in) noexcept = 0;

    // These two are set by `prepare`.
    asio::cancellation_state* cancellation_;
    void const* executor_; ///< the task's, of type `executor_type()`
    /// The task's executor, or what is erased in it, and its type. Null: not asked for yet. Set by `prepare`, by
    /// `learn_whether_it_runs_on` when it is asked, and to null again by `executor_has_changed`.
    std::type_info const* held_executor_type_;
    void const* held_executor_;

private:
    // The halves of `enter`, which are called and have returned before the switch, and after it.

    /// Called for another reason besides: synchronous code may call a handler itself, after an await that has brought
    /// it to another thread. What is rare is a call at the end: so nothing has to be saved for it.
    GREENBACK_READS_THREAD_LOCAL static void begin_resumption(any_portal& self) noexcept {
        GREENBACK_ASSERT(self.holds_task(false));
        thread_state& here = this_resumer_or_unknown();
        if (self.cancellation_->slot().has_handler() || !here.exceptions || self.has_exceptions(here)) [[unlikely]]
            return begin_resumption_slow(self);
        self.is_going_in_without_exceptions(here);
    }
    GREENBACK_OUT_OF_LINE static void begin_resumption_slow(any_portal& self) noexcept {
        self.cancellation_->slot().clear();
        self.is_going_in(this_thread());
    }
    GREENBACK_OUT_OF_LINE static void end_resumption(any_portal& self) {
        self.has_come_out();
        bool const waits_for_another = self.is_to_start_operation();
        if (waits_for_another && !self.start_operation()) [[likely]]
            return;
        self.come_out_of_resumption(waits_for_another);
    }

    template <class Own> GREENBACK_OUT_OF_LINE bool learn_whether_it_runs_on(Own const& own) noexcept {
        Own const* mine = nullptr;
        // What nearly every task has comes first: two names that differ take longer to compare than anything else here.
        if (same_type(typeid(asio::any_io_executor), executor_type())) {
            if constexpr (std::is_same_v<Own, asio::any_io_executor>) {
                mine = static_cast<Own const*>(executor_);
            } else {
                auto const& any = *static_cast<asio::any_io_executor const*>(executor_);
                // Asio 1.22.1's target() doesn't compare the type: it would give a strand for the executor in it.
                if (same_type(any.target_type(), typeid(Own)))
                    mine = any.template target<Own>();
            }
        } else if (same_type(executor_type(), typeid(Own))) {
            mine = static_cast<Own const*>(executor_);
        }
        if (!mine)
            return false;
        held_executor_type_ = &typeid(Own);
        held_executor_ = mine;
        return *mine == own;
    }
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
