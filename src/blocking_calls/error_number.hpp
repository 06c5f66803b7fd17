// SPDX-License-Identifier: MIT
// errno, of the thread that the code is on by now.
#pragma once

#include <cerrno>

namespace greenback::detail::blocking {

/// glibc tells compilers that the address of `errno` never changes inside a function; an await may have changed the
/// thread. These are opaque, so each finds the right one.
[[gnu::noinline]] inline void set_error_number(int e) noexcept {
    asm volatile("" : : : "memory");
    errno = e;
}
[[gnu::noinline]] inline int error_number() noexcept {
    asm volatile("" : : : "memory");
    return errno;
}

/// What a call returns that has failed.
[[gnu::cold]] inline int fail(int e) noexcept {
    set_error_number(e);
    return -1;
}

} // namespace greenback::detail::blocking
