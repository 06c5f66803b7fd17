// SPDX-License-Identifier: MIT
// What the C++ runtime knows about exceptions on "this thread", which a switch of stacks must carry along.
#pragma once

#include <cstdint>

namespace greenback::detail {

/// The two members of `__cxa_eh_globals` (Itanium C++ ABI, exception handling, 2.2.2): the chain of exceptions being
/// handled, and the number thrown and not yet caught. The runtime keeps one per *thread*; synchronous code on a fiber
/// needs one per *fiber*, or `throw;` after an `await_` would rethrow somebody else's exception.
/// GCC's and LLVM's runtimes agree on these two members. (The ARM EH ABI adds a third; it is not supported here.)
struct exception_state {
    void* caught;
    unsigned int uncaught;

    bool any() const noexcept { return caught || uncaught; }
    /// Nearly always neither has: then an exchange has nothing to write. Without a branch for each member.
    static bool either(exception_state const& a, exception_state const& b) noexcept {
        return ((std::uintptr_t(a.caught) | std::uintptr_t(b.caught)) | (a.uncaught | b.uncaught)) != 0;
    }

    exception_state() = default;
    /// Member by member: one wide load of what two stores have just written would wait for both to reach the cache.
    exception_state(exception_state const& other) noexcept : caught(other.caught), uncaught(other.uncaught) {}
    // NOLINTNEXTLINE(bugprone-unhandled-self-assignment): of two numbers
    exception_state& operator=(exception_state const& other) noexcept {
        caught = other.caught;
        uncaught = other.uncaught;
        return *this;
    }
    exception_state(void* chain, unsigned number) noexcept : caught(chain), uncaught(number) {}
};

} // namespace greenback::detail
