// SPDX-License-Identifier: MIT
// A portal as `await_` sees it where the task's executor type does not matter.
#pragma once

#include <greenback/detail/asio_access.hpp>
#include <greenback/detail/portal_base.hpp>
#include <greenback/error.hpp>

namespace greenback::detail {
inline namespace GREENBACK_BACKEND_NAMESPACE {

/// The same type? The address answers for nearly every call; only a type from another shared object needs the name.
inline bool same_type(std::type_info const& a, std::type_info const& b) noexcept { return &a == &b || a == b; }

/// See `portal_base::key_`.
template <class Executor> inline constexpr char portal_key = 0;

class asio_portal : public portal_base {
public:
    using portal_base::portal_base;

    /// The task's cancellation; the three members live in its entry frame, whatever the executor.
    asio::cancellation_state& state() noexcept { return *state_; }
    asio::cancellation_slot parent_slot() const noexcept { return *parent_slot_; }
    bool& throws_if_cancelled() noexcept { return *throw_if_cancelled_; }

    /// What `co_await` does before it starts anything: a task already cancelled throws.
    void check_cancelled() {
        if (*throw_if_cancelled_ && !!state_->cancelled()) [[unlikely]]
            throw_cancelled();
    }

    virtual asio::any_io_executor executor() const = 0;

    /// Is `own`, of whatever type, the task's executor?
    template <class Own> bool runs_on(Own const& own) const noexcept {
        if (same_type(executor_type(), typeid(Own)))
            return *static_cast<Own const*>(executor_) == own;
        if constexpr (!std::is_same_v<Own, asio::any_io_executor>) {
            if (same_type(executor_type(), typeid(asio::any_io_executor))) {
                auto const& any = *static_cast<asio::any_io_executor const*>(executor_);
                // Asio 1.22.1's target() doesn't compare the type: it would give a strand for the executor in it.
                return same_type(any.target_type(), typeid(Own)) && *any.template target<Own>() == own;
            }
        }
        return false;
    }

    /// On the fiber: take the task from whoever pumps it, to be held by an operation's handler. @throws no_portal
    virtual void park() = 0;
    /// On the fiber, back in after `park`. @throws abandoned if the task is being destroyed
    virtual void unpark() = 0;
    /// In the handler: the operation is over, continue the task. The portal may be gone when this returns.
    virtual void resume_parked() = 0;
    /// The handler is destroyed without having been called: let the task be destroyed, through its executor.
    virtual void drop_parked() noexcept = 0;

    /// On the fiber: go out, leaving `e` to be run, and come back when the task is resumed.
    /// @throws abandoned if the task is being destroyed instead
    [[gnu::always_inline]] void wait_parked(errand e) {
        park();
        errand_ = e;
        switch_out(*fiber_);
        if (needs_unpark_ || abandoned_) [[unlikely]]
            unpark();
    }

    [[noreturn, gnu::noinline, gnu::cold]] static void throw_cancelled() {
        throw system_error(error_code(asio::error::operation_aborted), "co_await");
    }

protected:
    ~asio_portal() = default;

    // Without initial values: set when the portal starts.
    asio::cancellation_state* state_;
    asio::cancellation_slot* parent_slot_;
    bool* throw_if_cancelled_;
    bool needs_unpark_ = false;       ///< written by `park` and `unpark`
    const void* executor_;           ///< the task's, of type `executor_type()`
};

/// Is this code run inline on `f` by something that is not its synchronous code: a nested `run` or `poll` of an event
/// loop, a strand that `dispatch` entered, a task that `co_spawn` starts? They leave a marker on the stack they run on.
[[gnu::noinline]] inline bool runs_inline_on(fiber const& f) noexcept {
    using strand = asio::detail::strand_executor_service::implementation_type::element_type;
    auto on_stack = [&f](const void* marker) { return marker && f.holds(marker); };
    if (on_stack(asio::detail::thread_context::top_of_thread_call_stack()))
        return true;
    if (on_stack(asio::detail::call_stack<strand>::top()))
        return true;
#if GREENBACK_ASIO_VERSION >= 103600
    if (on_stack(asio::detail::call_stack<asio::detail::awaitable_launch_context>::top()))
        return true;
#endif
    return false;
}

[[noreturn, gnu::noinline, gnu::cold]] inline void throw_no_portal_here(std::source_location const& where) {
    throw_no_portal(where, asio::detail::thread_context::top_of_thread_call_stack() ? no_portal_because::not_in_portal
                                                                                      : no_portal_because::not_in_loop);
}

/// The portal in force for the caller. @throws no_portal, saying why there is none
[[gnu::always_inline]] inline asio_portal& portal_in_force(thread_state& here, std::source_location const& where) {
    portal_base* const p = here.current;
    if (!p || p->backend() != GREENBACK_BACKEND) [[unlikely]]
        throw_no_portal_here(where);
    if (p->abandoned()) [[unlikely]]
        throw_abandoned();
    return static_cast<asio_portal&>(*p);
}

} // namespace GREENBACK_BACKEND_NAMESPACE
} // namespace greenback::detail
