// SPDX-License-Identifier: MIT
// Why no stack could be had: finding out, and saying so.
#pragma once

#include <greenback/stack.hpp>

#include <cstddef>

namespace greenback::detail::shortage {

enum class step { none, reserve, bookkeeping, guard };

// What failed. Filled in with the pool's lock held, examined after it was released: reading /proc/self/maps
// may take tens of milliseconds when it is full.
struct failure {
    step at = step::none;
    int error = 0;         // errno of that step
    std::size_t bytes = 0; // asked for in that step
};

/// The text for `stack_exhausted`.
char const* explain(stack_limit limit) noexcept;

/// Says in the log, the first time for each limit, that there was no stack of `stack_size` bytes.
void report(stack_limit limit, failure const& f, std::size_t stack_size) noexcept;

/// Says in the log, the first time, that a stack is handed out although its guard could not be made.
void report_unguarded(failure const& f) noexcept;

/// Finds out what stood in the way, reports and throws it. @throws stack_exhausted
[[noreturn]] void raise(failure const& f, std::size_t stack_size);

} // namespace greenback::detail::shortage
