// SPDX-License-Identifier: MIT
// The bottom of the synchronous program: it blocks the thread.

#include "child.hpp"
#include "factorial.hpp"

#include <cerrno>
#include <iostream>
#include <system_error>
#include <unistd.h>

std::string print_value(std::uint64_t value) {
    child echo(echo_command(value));
    int const pipe = echo.take_output();

    std::string line;
    char buffer[64];
    ssize_t size;
    while ((size = ::read(pipe, buffer, sizeof buffer)) > 0)
        line.append(buffer, static_cast<std::size_t>(size));
    int const error = errno;
    ::close(pipe);
    if (size < 0)
        throw std::system_error(error, std::generic_category(), "read");

    echo.reap();

    std::cout << line << std::flush;
    return line;
}
