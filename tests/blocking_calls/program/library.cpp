// SPDX-License-Identifier: MIT
#include "library.hpp"

#include <greenback/greenback.hpp>

#include <asio.hpp>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace program {
namespace {

template <class F> asio::awaitable<void> on_portal(F f) { co_await greenback::with_portal_run_sync(std::move(f)); }

} // namespace

int run_two_tasks() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        return 1;
    int result = 2;
    asio::io_context context(1);
    asio::co_spawn(context, on_portal([&] {
                       pollfd p{ends[0], POLLIN, 0};
                       char c = 0;
                       // Without greenback::blocking_calls, this blocks the thread that would write: so only for a while.
                       if (::poll(&p, 1, 1000) != 1)
                           result = 3;
                       else
                           result = ::read(ends[0], &c, 1) == 1 && c == 'x' ? 0 : 4;
                   }),
                   asio::detached);
    asio::co_spawn(context, on_portal([&] {
                       if (::write(ends[1], "x", 1) != 1)
                           result = 5;
                   }),
                   asio::detached);
    context.run();
    ::close(ends[0]);
    ::close(ends[1]);
    return result;
}

} // namespace program
