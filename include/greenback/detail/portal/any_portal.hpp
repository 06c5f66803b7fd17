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

    /// Is `own`, of whatever type, the task's executor?
    template <class Own> bool runs_on(Own const& own) const noexcept {
        if constexpr (!std::is_same_v<Own, asio::any_io_executor>) {
            if (kind_ == &kind_of_portal<asio::any_io_executor>) [[likely]] {
                auto const& any = *static_cast<asio::any_io_executor const*>(executor_);
                // Asio 1.22.1's target() doesn't compare the type: it would give a strand for the executor in it.
                return same_type(any.target_type(), typeid(Own)) && *any.template target<Own>() == own;
            }
        }
        if (same_type(executor_type(), typeid(Own)))
            return *static_cast<Own const*>(executor_) == own;
        return false;
    }

    /// In the handler: the operation is over, continue the task. The portal may be gone when this returns.
    virtual void resume_from_operation() = 0;
    /// The handler is destroyed without having been called: let the task be destroyed, through its executor.
    virtual void drop_from_operation() noexcept = 0;

    /// On the fiber: go out, leaving `todo` to be run, and come back when the task is resumed. Meanwhile the task is
    /// held here, for an operation's handler.
    /// @pre not abandoned
    /// @throws no_portal · abandoned if the task is being destroyed instead
    GREENBACK_SWITCH_PATH void suspend_for_operation(after_suspend todo) {
        if (!hold_task()) [[unlikely]]
            return suspend_for_operation_in_coroutine(todo);
        after_suspend_ = todo;
        switch_out(own_fiber());
        if (abandoned()) [[unlikely]]
            throw_abandoned();
    }

    [[noreturn]] GREENBACK_COLD static void throw_cancelled() {
        throw system_error(error_code(asio::error::operation_aborted), "co_await");
    }

protected:
    ~any_portal() = default;

    /// Take the task from whoever pumps it, to be held here. @returns false, having done nothing, if the synchronous
    /// code was called by a coroutine that runs on the fiber, not by the portal itself.
    virtual bool hold_task() noexcept = 0;
    /// `suspend_for_operation` where that is so.
    virtual void suspend_for_operation_in_coroutine(after_suspend todo) = 0;

    asio::cancellation_state* cancellation_; ///< these two are set by `prepare`
    void const* executor_;                   ///< the task's, of type `executor_type()`
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
