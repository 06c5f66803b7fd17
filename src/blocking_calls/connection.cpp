// SPDX-License-Identifier: MIT
// connect and accept.
#include "../hold_across_fork.hpp"
#include "await_ready.hpp"
#include "calls.hpp"
#include "error_number.hpp"
#include "plain_calls.hpp"

#include <fcntl.h>

#include <chrono>
#include <mutex>

namespace greenback::detail::blocking::inline GREENBACK_BACKEND_NAMESPACE {
namespace {

/// For these two there is no MSG_DONTWAIT: O_NONBLOCK is set for the one call, and put back. One at a time, since the flag
/// may be one for several descriptors. No fork comes between.
constinit std::mutex mutex;
constinit std::mutex* const flag_mutex = &mutex;
[[maybe_unused]] int const across_fork = hold_across_fork<flag_mutex>();

/// @pre `blocks(fd)`. So that is what is put back, whatever another process has made of a shared flag meanwhile.
template <class Call> int without_blocking(int fd, Call call) noexcept {
    std::scoped_lock const lock(mutex);
    int const flags = ::fcntl(fd, F_GETFL);
    ::fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    int const result = call();
    int const e = error_number();
    ::fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
    set_error_number(e);
    return result;
}

/// Not while another thread has set the flag for a call of its own.
bool blocks(int fd) noexcept {
    std::scoped_lock const lock(mutex);
    return !is_nonblocking(fd);
}

/// What became of a connection that was begun; 0: it was made.
int error_of(int fd) noexcept {
    int e = 0;
    socklen_t size = sizeof e;
    return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &size) < 0 ? error_number() : e;
}

bool has_peer(int fd) noexcept {
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    return ::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0;
}

/// @returns -1
int give_connection_up(int fd) noexcept {
    sockaddr nobody{};
    nobody.sa_family = AF_UNSPEC;
    plain::connect(fd, &nobody, sizeof nobody);
    return fail(ECONNRESET);
}

bool is_listening(int fd) noexcept {
    int listens = 0;
    socklen_t size = sizeof listens;
    return ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens;
}

deadline send_timeout_of(int fd) noexcept {
    timeval t{};
    socklen_t size = sizeof t;
    bool const is_set = ::getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, &size) == 0 && (t.tv_sec || t.tv_usec);
    return is_set ? deadline::in(t) : deadline();
}

} // namespace

namespace on_portal {

int connect(caller const& by, int fd, sockaddr const* to, socklen_t size) noexcept {
    if (!blocks(fd))
        return plain::connect(fd, to, size);
    deadline const until = send_timeout_of(fd);
    auto pause = std::chrono::milliseconds(1);
    for (;;) {
        int const result = without_blocking(fd, [&] { return plain::connect(fd, to, size); });
        int const e = error_number();
        if (result == 0 || (e != EAGAIN && e != EINPROGRESS && e != EALREADY))
            return result;
        if (e != EAGAIN)
            break;
        if (to->sa_family != AF_UNIX)
            return result; // no port is free
        // The backlog of a Unix socket is full; nothing tells when it no longer is.
        if (until.passed())
            return fail(EAGAIN);
        int const why_not = await_time(by, deadline::in(pause));
        if (why_not != ETIMEDOUT)
            return fail(why_not);
        pause = std::min(pause * 2, std::chrono::milliseconds(50));
    }
    for (;;) {
        if (is_ready(fd, POLLOUT)) {
            // Asked for once more, the connection is complete, also for the kernel, or has failed. Some protocols go on to
            // say that it has been begun, or has been made.
            if (without_blocking(fd, [&] { return plain::connect(fd, to, size); }) == 0)
                return 0;
            int e = error_number();
            if (e == EISCONN)
                return 0;
            if (e == EALREADY || e == EINPROGRESS) {
                e = error_of(fd);
                if (e == 0) // unless somebody has shut the socket down, and this has begun a new connection
                    return has_peer(fd) ? 0 : give_connection_up(fd);
            }
            return fail(e);
        }
        if (until.passed())
            return fail(EINPROGRESS); // which is what Linux says to a timeout here: socket(7)
        pollfd const p{fd, POLLOUT, 0};
        int const why_not = await_ready(by, std::span(&p, 1), until);
        if (why_not && why_not != ETIMEDOUT)
            return fail(why_not);
    }
}

int accept4(caller const& by, int fd, sockaddr* from, socklen_t* size, int flags) noexcept {
    if (!blocks(fd) || !is_listening(fd)) // what does not listen fails
        return plain::accept4(fd, from, size, flags);
    socket_timeout timeout{SO_RCVTIMEO};
    bool timed_out = false;
    for (;;) {
        // The flag is set only where there is somebody to accept, or nothing that waits at all: others may be about to
        // wait in the plain call for the same descriptor.
        int accepted = fail(EAGAIN);
        if (is_ready(fd, POLLIN))
            accepted = without_blocking(fd, [&] { return plain::accept4(fd, from, size, flags); });
        if (accepted >= 0 || error_number() != EAGAIN || timed_out)
            return done(by, accepted);
        int const why_not = await_ready(by, fd, POLLIN, timeout);
        timed_out = why_not == ETIMEDOUT;
        if (why_not && !timed_out)
            return fail(why_not);
    }
}

} // namespace on_portal
} // namespace greenback::detail::blocking::inline GREENBACK_BACKEND_NAMESPACE
