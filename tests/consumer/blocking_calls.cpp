// SPDX-License-Identifier: MIT
// One task reads from a socket that another writes to, both by libc's calls, on one thread.
#include <greenback/blocking_calls.hpp>
#include <greenback/greenback.hpp>

#include <sys/socket.h>
#include <unistd.h>

int main() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        return 1;
    greenback::asio::io_context context;
    char c = 0;
    bool has_read = false, has_written = false;
    greenback::spawn(context, [&] { has_read = ::read(ends[0], &c, 1) == 1; }, greenback::rethrow);
    greenback::spawn(context, [&] { has_written = ::write(ends[1], "x", 1) == 1; }, greenback::rethrow);
    context.run();
    return has_read && has_written && greenback::blocking_calls_awaited() == 1 ? 0 : 1;
}
