// SPDX-License-Identifier: MIT
// The functions that throw, in the library's compiled part, which has the texts.
#pragma once

#include <greenback/error.hpp>

#include <source_location>
#include <typeinfo>

namespace greenback::detail {

enum class no_portal_because {
    not_in_loop,   ///< no event loop runs on this thread: not in any task
    not_in_portal, ///< an event loop runs, but no portal's fiber
    initiating,    ///< inside the initiation of an operation the portal waits for
    runs_inline,   ///< other code, run inline on the fiber by dispatch, poll, co_spawn
};

[[noreturn]] void throw_no_portal(std::source_location where, no_portal_because why);
[[noreturn]] void throw_executor_mismatch(std::source_location where, std::type_info const& awaitable,
                                          std::type_info const& task);
[[noreturn]] void throw_await_forbidden(std::source_location where, char const* reason, std::source_location scope);
[[noreturn]] void throw_portal_busy();
[[noreturn]] void throw_abandoned();

} // namespace greenback::detail
