// SPDX-License-Identifier: MIT
//
// A library that knows nothing of greenback, and is compiled in a file of its own.
#pragma once

#include <sys/types.h>

namespace ordinary_library {

/// Reads from a descriptor that does not block, as libraries with event loops or timeouts do: tries, polls, tries again.
/// @returns how many bytes; or -1, with errno
ssize_t read_by_poll(int fd, void* data, size_t size);
/// As a library that does nothing special. @returns 0, or the error's number
int error_of_blocking_read(int fd, void* data, size_t size);

/// What errno is, to code that does not know where it was before.
int error_number();

} // namespace ordinary_library
