// SPDX-License-Identifier: MIT
//
// A program whose own object calls none of the blocking calls; or, linked with library.cpp, one that calls some.
#include "library.hpp"

#include <greenback/blocking_calls.hpp>

#include <cstdio>

int main() {
    int const result = program::run_two_tasks();
    if (result != 0) {
        std::fprintf(stderr, "failed: %d\n", result);
        return result;
    }
    if (greenback::blocking_calls_awaited() == 0) {
        std::fprintf(stderr, "failed: no call has awaited\n");
        return 10;
    }
    std::puts("ok");
    return 0;
}
