// SPDX-License-Identifier: MIT
#include "plain_calls.hpp"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

namespace greenback::detail::blocking {

void* find_plain_call(char const* name) noexcept {
    // A sanitizer of clang is linked into the program, where our definition has taken the place of its own, which it also
    // has under another name: with three underscores since clang 17. One of g++ is a shared library that comes next.
    for (char const* const prefix : {"___interceptor_", "__interceptor_"}) {
        char intercepted[64];
        std::snprintf(intercepted, sizeof intercepted, "%s%s", prefix, name);
        if (void* const found = ::dlsym(RTLD_DEFAULT, intercepted))
            return found;
    }
    static_cast<void>(::dlerror()); // that there are none is nobody's error
    if (void* const found = ::dlsym(RTLD_NEXT, name))
        return found;
    std::fprintf(stderr, "greenback: no function '%s' behind the program's: is it linked with a static libc?\n", name);
    std::abort();
}

} // namespace greenback::detail::blocking
