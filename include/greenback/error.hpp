// SPDX-License-Identifier: MIT
// What can go wrong, and what to write instead.
#pragma once

#include <greenback/detail/config.hpp>

#include <stdexcept>

// The types are visible outside of a shared object that is compiled with -fvisibility=hidden: what is thrown in one is
// to be caught in another, and not every C++ library compares types by their names.

namespace greenback {

/// `await_` or `use_portal` was used where no portal is in force. The text says why there is none and what to write
/// instead.
/// Thrown even if the awaited thing is ready, so that a missing portal shows at the first call and not under load.
struct [[gnu::visibility("default")]] no_portal : std::logic_error {
    using std::logic_error::logic_error;
};

/// An `awaitable<T, E>` was awaited in a task whose executor type is another one. The text names both.
struct [[gnu::visibility("default")]] executor_mismatch : std::logic_error {
    using std::logic_error::logic_error;
};

/// `await_` or `use_portal` was used while a `no_await_scope` is alive in the portal. The text has the scope's reason and
/// place, and the place of the call.
struct [[gnu::visibility("default")]] await_forbidden : std::logic_error {
    using std::logic_error::logic_error;
};

/// `p.run` was awaited while `p` is running.
struct [[gnu::visibility("default")]] portal_busy : std::logic_error {
    using std::logic_error::logic_error;
};

/// Thrown out of `await_` when the task is destroyed while it waits there, so that the destructors of the synchronous
/// code run. Not a `std::exception`: code that handles errors should not take it for one. If it is swallowed, the next
/// `await_` throws it again; there is no way to go on awaiting in a task that is being destroyed.
class [[gnu::visibility("default")]] abandoned {
public:
    char const* what() const noexcept { return "greenback: the task is being destroyed"; }
};

} // namespace greenback
