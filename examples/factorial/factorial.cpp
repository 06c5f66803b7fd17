// SPDX-License-Identifier: MIT
// The middle: the same object code in factorial_sync and in factorial_async.

#include "factorial.hpp"

std::string print_factorial(std::uint64_t n, std::uint64_t multiplier) {
    if (n <= 1)
        return print_value(multiplier);
    return print_factorial(n - 1, multiplier * n);
}
