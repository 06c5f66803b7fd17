// SPDX-License-Identifier: MIT
// Who makes a call: code that may await, or code for which the call is to be the plain one.
#pragma once

#include <greenback/detail/portal/find_portal.hpp>

#include <source_location>

namespace greenback::detail::blocking::inline GREENBACK_BACKEND_NAMESPACE {

/// The portal on which a call is made.
class caller {
public:
    /// The plain call is to be made: off every portal, in an event loop that runs inline on one, while an operation is
    /// initiated, inside a `no_await_scope`, on a portal of the other Asio, and on one that this process has copied from
    /// its parent in the middle of a call to fork().
    bool is_elsewhere() const noexcept { return !portal_; }
    /// The task is being destroyed: what would block fails.
    bool is_abandoned() const noexcept { return portal_->abandoned(); }

    any_portal& portal() const noexcept { return *portal_; }
    std::source_location call() const noexcept { return call_; }

    /// One load off every portal.
    [[gnu::always_inline]] static inline caller here(std::source_location call) {
        if (!state_of_this_thread.current) [[likely]]
            return caller(nullptr, call);
        return caller(look(), call);
    }

private:
    caller(any_portal* p, std::source_location call) noexcept : portal_(p), call_(call) {}
    static any_portal* look() noexcept;

    any_portal* portal_; ///< null: elsewhere
    std::source_location call_;
};

/// In the child of a fork: the portal that it was called on is served by the parent's event loop, which must not run in
/// the child. Its calls are plain from now on. Contexts that the child makes are its own.
void stay_plain_on_this_portal() noexcept;

} // namespace greenback::detail::blocking::inline GREENBACK_BACKEND_NAMESPACE
