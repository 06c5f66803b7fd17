// SPDX-License-Identifier: MIT
// What valgrind has to be told. Where its header is missing, or with NVALGRIND, nothing.
//
// A program that is not under valgrind pays for each question some instructions without an effect. None is on the way
// of a switch: valgrind sees for itself where the stack pointer goes.
#pragma once

#include <cstddef>

#if defined(__has_include) && !defined(NVALGRIND)
#if __has_include(<valgrind/valgrind.h>) && __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#include <valgrind/valgrind.h>
#define GREENBACK_VALGRIND 1
#endif
#endif

namespace greenback::detail::valgrind {

inline bool runs_this() noexcept {
#if defined(GREENBACK_VALGRIND)
    return RUNNING_ON_VALGRIND != 0;
#else
    return false;
#endif
}

/// Says that what is from `bottom` up to `top` is a stack of its own.
///
/// Without it, memcheck takes a change of the stack pointer for a switch only if it is larger than 2 MB. A portal may
/// be nearer than that to the one that enters it, or to the stack of its thread: then all in between would count as
/// frames, which a call makes undefined and a return takes away, and whatever is there would be reported. Other
/// portals' stacks and records are there.
///
/// Valgrind has a list of stacks, and goes through it when the stack pointer has left the one that it was on, and for a
/// backtrace: with 3.19 some 3 us of memcheck's time for each switch among 2,000 portals that take turns, some 30 us
/// among 20,000. There is no limit to what is told nevertheless: on a stack that it does not know it would go through
/// the whole list for nothing, at many a call, and its reports would be false. Callgrind doesn't look stacks up.
/// @returns what `forget_stack` is to be given
inline unsigned know_stack([[maybe_unused]] void const* bottom, [[maybe_unused]] void const* top) noexcept {
#if defined(GREENBACK_VALGRIND)
    return VALGRIND_STACK_REGISTER(bottom, static_cast<char const*>(top) - 1); // it wants the last byte
#else
    return 0;
#endif
}
inline void forget_stack([[maybe_unused]] unsigned stack) noexcept {
#if defined(GREENBACK_VALGRIND)
    VALGRIND_STACK_DEREGISTER(stack);
#endif
}

/// Says that nobody may touch this memory: a guard. One that is a mark in the page tables valgrind does not see, and
/// would read it word by word when it looks for leaks, each a fault that it has to handle: 4 ms for each stack.
inline void forbid([[maybe_unused]] void* begin, [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(GREENBACK_VALGRIND)
    (void)VALGRIND_MAKE_MEM_NOACCESS(begin, bytes);
#endif
}

/// Says that memory is in use again, with what is in it: on a stack, what lies below the last frame that was left may
/// not be. There the next user may have something other than frames.
inline void allow([[maybe_unused]] void* begin, [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(GREENBACK_VALGRIND)
    (void)VALGRIND_MAKE_MEM_DEFINED(begin, bytes); // not undefined: `stats` looks for a record where there may be none
#endif
}

} // namespace greenback::detail::valgrind
