// SPDX-License-Identifier: MIT
// The middle of the program, and what it needs from the bottom. Nothing here knows of coroutines.
#pragma once

#include <cstdint>
#include <string>

/// Print `n` factorial times `multiplier`. @returns the line that was printed
std::string print_factorial(std::uint64_t n, std::uint64_t multiplier = 1);

/// The bottom: print `value` in an unreasonably convoluted way, by a child process. @returns the line that
/// was printed Defined twice: in sync_bottom.cpp, and in async_bottom.cpp.
std::string print_value(std::uint64_t value);
