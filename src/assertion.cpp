// SPDX-License-Identifier: MIT
// What happens where a state is not what the code around it says. Always compiled: users' code may assert.

#include <greenback/detail/config.hpp>

#include <cstdio>
#include <cstdlib>

namespace greenback::detail {

void assertion_failed(char const* condition, char const* file, int line) noexcept {
    std::fprintf(stderr, "%s:%d: greenback: assertion failed: %s\n", file, line, condition);
    std::abort();
}

} // namespace greenback::detail
