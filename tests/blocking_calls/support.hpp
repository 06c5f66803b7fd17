// SPDX-License-Identifier: MIT
//
// Tasks that make blocking calls, and descriptors for them to make them on.
#pragma once

#include "support/asio.hpp"
#include "support/event_loop.hpp"
#include "support/tasks.hpp"

#include <greenback/blocking_calls.hpp>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <utility>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

namespace test {

template <class F> asio::awaitable<void> on_portal(F f) { co_await greenback::with_portal_run_sync(std::move(f)); }

/// Calls each function on a portal of its own, all on one thread: the first runs until it waits, then the next.
template <class... F> void together(F... f) {
    asio::io_context context(1);
    (spawn(context, on_portal(std::move(f))), ...);
    run_all(context);
}

/// How many calls have awaited since it was made.
class awaits_since {
public:
    std::uint64_t count() const { return greenback::blocking_calls_awaited() - before_; }

private:
    std::uint64_t before_ = greenback::blocking_calls_awaited();
};

/// Has a call failed, and with this error?
inline bool failed_with(ssize_t result, int error) { return result == -1 && errno == error; }

/// Two descriptors, which are closed at the end unless they are -1.
struct two_ends {
    int a = -1, b = -1;

    two_ends(two_ends const&) = delete;
    ~two_ends() {
        close_a();
        close_b();
    }
    void close_a() { close_end(a); }
    void close_b() { close_end(b); }

protected:
    two_ends() = default;

private:
    static void close_end(int& end) {
        if (end >= 0)
            ::close(std::exchange(end, -1));
    }
};

struct socket_pair : two_ends {
    explicit socket_pair(int type = SOCK_STREAM) {
        int ends[2];
        if (::socketpair(AF_UNIX, type, 0, ends) != 0)
            throw std::runtime_error("socketpair");
        a = ends[0];
        b = ends[1];
    }
};

/// What is written to `b` can be read from `a`.
struct pipe_ends : two_ends {
    pipe_ends() {
        int ends[2];
        if (::pipe(ends) != 0)
            throw std::runtime_error("pipe");
        a = ends[0];
        b = ends[1];
    }
};

inline bool is_nonblocking(int fd) { return (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0; }

/// @param option SO_RCVTIMEO or SO_SNDTIMEO
inline void set_timeout(int fd, int option, int milliseconds) {
    timeval const t{milliseconds / 1000, milliseconds % 1000 * 1000};
    if (::setsockopt(fd, SOL_SOCKET, option, &t, sizeof t) != 0)
        throw std::runtime_error("setsockopt");
}

/// Has a signal come every few milliseconds.
class interval_timer {
public:
    explicit interval_timer(int milliseconds = 5) {
        struct sigaction action{};
        action.sa_handler = [](int) {}; // and no SA_RESTART
        ::sigaction(SIGALRM, &action, &before_);
        itimerval const every{{0, milliseconds * 1000}, {0, milliseconds * 1000}};
        ::setitimer(ITIMER_REAL, &every, nullptr);
    }
    interval_timer(interval_timer const&) = delete;
    ~interval_timer() {
        itimerval const off{};
        ::setitimer(ITIMER_REAL, &off, nullptr);
        ::sigaction(SIGALRM, &before_, nullptr);
    }

private:
    struct sigaction before_{};
};

} // namespace test
