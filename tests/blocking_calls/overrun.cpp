// SPDX-License-Identifier: MIT
//
// Reads more than there is room for, on a portal and after a wait: AddressSanitizer is to say so.
#include <asio.hpp>
#include <greenback/greenback.hpp>

#include <cstdlib>
#include <memory>
#include <sys/socket.h>
#include <unistd.h>

int main() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        return 1;
    asio::io_context context(1);
    auto const room = std::make_unique<char[]>(4);
    char* volatile data = room.get(); // so that no compiler sees what is wrong
    std::size_t volatile size = 8;
    greenback::spawn(context, [&] { std::exit(::read(ends[0], data, size) == 8 ? 2 : 3); }, greenback::rethrow);
    greenback::spawn(
        context,
        [&] {
            if (::write(ends[1], "too long", 8) != 8)
                std::exit(4);
        },
        greenback::rethrow);
    context.run();
}
