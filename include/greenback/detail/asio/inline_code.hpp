// SPDX-License-Identifier: MIT
// What a thread is in the middle of: Asio notes it in entries that lie on the stack of the function that made them.
#pragma once

#include <greenback/detail/asio/access.hpp>
#include <greenback/detail/config.hpp>
#include <greenback/detail/fiber/fiber.hpp>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// Is the calling code run inline on `f` by something that is not its synchronous code: a nested `run` or `poll` of an
/// event loop, a strand that `dispatch` entered, a task that `co_spawn` starts? They leave an entry on the stack they
/// run on. Reads thread-locals: to be called where the stack can't have changed threads since.
GREENBACK_SWITCH_PATH inline bool runs_inline(fiber const& f) noexcept {
    if (f.holds(innermost(*revealed(loop_stack_tag()))) || f.holds(innermost(*revealed(strand_stack_tag()))))
        [[unlikely]]
        return true;
#if GREENBACK_ASIO_VERSION >= 103600
    if (f.holds(innermost(*revealed(launch_stack_tag())))) [[unlikely]]
        return true;
#endif
    return false;
}

/// Does an event loop run on this thread?
GREENBACK_READS_THREAD_LOCAL inline bool in_event_loop() noexcept {
    return innermost(*revealed(loop_stack_tag())) != nullptr;
}

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
