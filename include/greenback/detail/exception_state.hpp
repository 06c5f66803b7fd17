// SPDX-License-Identifier: MIT
// What the C++ runtime knows about exceptions on "this thread", which a switch of stacks must carry along.
#pragma once

namespace greenback::detail {

/// The two members of `__cxa_eh_globals` (Itanium C++ ABI, exception handling, 2.2.2): the chain of exceptions being
/// handled, and the number thrown and not yet caught. The runtime keeps one per *thread*; synchronous code on a fiber
/// needs one per *fiber*, or `throw;` after an `await_` would rethrow somebody else's exception.
/// GCC's and LLVM's runtimes agree on these two members. (The ARM EH ABI adds a third; it is not supported here.)
struct exception_state {
    void* caught = nullptr;
    unsigned int uncaught = 0;
};

} // namespace greenback::detail
