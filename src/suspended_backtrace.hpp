// SPDX-License-Identifier: MIT
// The backtrace of a fiber that is out, taken by another thread that can't keep it from going on meanwhile.
#pragma once

#include <greenback/detail/fiber/fiber.hpp>
#include <greenback/detail/fiber/stack_pool.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace greenback::detail {

inline constexpr std::size_t most_calls = 64;

/// Where a fiber's code is: in the first address, and the calls that led there. Not for the stack: who asks may be on a
/// small one.
struct backtrace {
    std::array<void*, most_calls> calls;
    std::size_t count = 0;

    // What was read for it, to be read again.
    struct word {
        std::uintptr_t at, value;
    };
    std::array<word, most_calls * 8> seen; ///< a call has its return address, and saves up to six registers
    std::size_t seen_count = 0;
};

/// Takes the backtrace of a fiber on the stack `s` that is out at `at`, the value of `other`. Empty where nothing is known of the
/// processor, or of the stack: another allocator's code may run on one of its own. It ends early at a function without
/// call frame information.
/// @returns whether the fiber was there all the while: every word that the result depends on is read again at the end
bool take_backtrace(fiber const& f, stack s, std::uintptr_t at, backtrace& result) noexcept;

} // namespace greenback::detail
