// SPDX-License-Identifier: MIT
// The bottom of the asynchronous program: it awaits, in a plain function that was called by plain functions.

#include "child.hpp"
#include "factorial.hpp"

#include <asio.hpp>
#include <greenback/greenback.hpp>

#include <cerrno>
#include <iostream>
#include <sys/syscall.h>
#include <system_error>
#include <unistd.h>

using greenback::error_code; // of the Asio in use

std::string print_value(std::uint64_t value) {
    asio::any_io_executor const executor = greenback::await_(asio::this_coro::executor);
    child echo(echo_command(value));
    asio::posix::stream_descriptor pipe(executor, echo.take_output());

    // [output]
    std::string line;
    error_code error;
    asio::async_read(pipe, asio::dynamic_buffer(line), asio::redirect_error(greenback::use_portal, error));
    if (error != asio::error::eof)
        throw std::system_error(error);
    // [/output]

    // A descriptor that becomes readable when the process has ended.
    auto const descriptor = static_cast<int>(::syscall(SYS_pidfd_open, echo.pid(), 0));
    if (descriptor == -1)
        throw std::system_error(errno, std::generic_category(), "pidfd_open");
    asio::posix::stream_descriptor process(executor, descriptor);
    process.async_wait(asio::posix::descriptor_base::wait_read, greenback::use_portal);
    echo.reap();

    std::cout << line << std::flush;
    return line;
}
