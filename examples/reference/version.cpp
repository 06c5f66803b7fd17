// SPDX-License-Identifier: MIT
// The version's macros, as docs/reference/version.md quotes them.

// [version]
#include <greenback/version.hpp>

#if GREENBACK_VERSION < 100
#error "greenback 0.1.0 or newer is needed"
#endif
// [/version]

#include <cstdio>
#include <string>

int main() {
    // [text]
    std::printf("built with greenback %s\n", GREENBACK_VERSION_STRING);
    // [/text]
    std::string const parts = std::to_string(GREENBACK_VERSION_MAJOR) + '.' + std::to_string(GREENBACK_VERSION_MINOR) +
                              '.' + std::to_string(GREENBACK_VERSION_PATCH);
    return parts == GREENBACK_VERSION_STRING ? 0 : 1;
}
