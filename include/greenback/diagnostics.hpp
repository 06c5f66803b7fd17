// SPDX-License-Identifier: MIT
// 9. Seeing the portals of a process.
#pragma once

#include <greenback/detail/config.hpp>

#include <cstddef>

namespace greenback {

/// The portals of this process, at some moment during the call to `stats`.
struct portal_stats {
    std::size_t live = 0;          ///< with a function or task on them; an idle `portal` object is not
    std::size_t suspended = 0;     ///< of these, waiting in an `await_`, or for something their task awaits
    std::size_t stacks_cached = 0; ///< stacks ready for use: in the threads' caches, in idle `portal`s, in the pool
};

/// Counts the portals of this process. Zero `live` portals at the end of a program, or of a test, means that nothing
/// was lost.
///
/// Thread safety: any thread, any time; exact when no other thread makes, ends or resumes a portal meanwhile.
/// Cost: a look at every stack there ever was. Making and switching portals costs nothing for it: there is no list of
/// them, but each stack carries a record at its top, and the pool knows where its stacks are.
/// Example: `assert(greenback::stats().live == 0);`
portal_stats stats() noexcept;

} // namespace greenback
