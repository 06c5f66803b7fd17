// SPDX-License-Identifier: MIT
// read, recv, write, send and their relatives.
#include "await_ready.hpp"
#include "calls.hpp"
#include "error_number.hpp"
#include "plain_calls.hpp"

#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <climits>
#include <numeric>
#include <span>
#include <vector>

namespace greenback::detail::blocking::inline GREENBACK_BACKEND_NAMESPACE {
namespace {

bool is_stream(int fd) noexcept {
    int type = 0;
    socklen_t size = sizeof type;
    return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

/// Where something has been transferred already: would the next attempt find nothing but an error? That belongs to the
/// next call, which is to find it, too.
bool has_only_an_error(int fd, short events) noexcept {
    pollfd p{fd, events, 0};
    if (plain::poll(&p, 1, 0) <= 0)
        return false;
    if (events == POLLOUT)
        return (p.revents & (POLLERR | POLLHUP)) != 0;
    int unread = 0;
    return (p.revents & POLLERR) && (::ioctl(fd, FIONREAD, &unread) < 0 || unread == 0);
}

/// @param n what the first attempt has said
template <class Attempt>
[[gnu::noinline]] ssize_t transfer_rest(caller const& by, int fd, short events, size_t total, bool const& whole,
                                        Attempt& attempt, ssize_t n) noexcept {
    size_t transferred = 0;
    socket_timeout timeout{events == POLLIN ? SO_RCVTIMEO : SO_SNDTIMEO};
    bool has_waited = false, timed_out = false;
    auto pause = std::chrono::milliseconds(1);
    for (;; n = attempt(transferred)) {
        if (n > 0 && whole && transferred + static_cast<size_t>(n) < total) {
            transferred += static_cast<size_t>(n);
            continue;
        }
        if (n >= 0)
            return static_cast<ssize_t>(transferred) + n;
        int e = error_number();
        if (e == EINTR)
            continue;
        if (e == EAGAIN && !timed_out && !is_nonblocking(fd)) {
            if (has_waited && is_ready(fd, events)) {
                // Said to be ready, and yet it isn't: poll knows nothing of a Unix datagram socket's receiver that has no
                // room, and calls ready what has an error to be read from elsewhere. Nothing tells when that ends.
                e = await_time(by, deadline::in(pause));
                pause = std::min(pause * 2, std::chrono::milliseconds(50));
                timed_out = timeout.until.passed();
            } else {
                e = await_ready(by, fd, events, timeout);
                has_waited = true;
                timed_out = e == ETIMEDOUT;
            }
            if (e == 0 || e == ETIMEDOUT) {
                if (transferred && has_only_an_error(fd, events))
                    return static_cast<ssize_t>(transferred);
                continue; // also where the time is over: at the last moment something may have come
            }
        }
        return transferred ? static_cast<ssize_t>(transferred) : fail(e);
    }
}

/// A blocking call out of calls that don't: `attempt(done)` transfers what follows the first `done` bytes, or fails with
/// EAGAIN. Ends when something has been transferred or, if it is to be the `whole`, when `total` has.
///
/// Whether the descriptor blocks at all, and for how long, is asked only where it would.
/// @param whole read anew after each attempt, which may find out that it is not to be
template <class Attempt>
ssize_t transfer(caller const& by, int fd, short events, size_t total, bool const& whole, Attempt attempt) noexcept {
    ssize_t const n = attempt(0);
    if (n >= 0 && (!whole || static_cast<size_t>(n) >= total)) [[likely]]
        return n;
    return transfer_rest(by, fd, events, total, whole, attempt, n);
}

bool is_socket_error(ssize_t result) noexcept { return result >= 0 || error_number() != ENOTSOCK; }

/// Pipes, terminals, eventfds: there is no call that does not block.
template <class Call> ssize_t if_ready(int fd, short events, Call call) noexcept {
    // One that is O_NONBLOCK says for itself what there is: at a pipe that nobody writes to, the end.
    if (is_ready(fd, events) || is_nonblocking(fd))
        return call();
    // Not open for it, or not a thing to do with it: that would never become ready. A transfer of no buffers is refused
    // by Linux for both reasons, and goes no further.
    if ((events == POLLIN ? plain::readv(fd, nullptr, 0) : plain::writev(fd, nullptr, 0)) < 0)
        return -1;
    return fail(EAGAIN);
}

enum class thing {
    file,   ///< blocks at most as a disk does
    stream, ///< a pipe or a terminal: takes part of what is written where it has no more room
    device, ///< anything else, for which what is written at once may be a message
};
thing thing_behind(int fd) noexcept {
    struct stat s;
    if (::fstat(fd, &s) != 0)
        return thing::device;
    if (S_ISREG(s.st_mode) || S_ISBLK(s.st_mode))
        return thing::file;
    return S_ISFIFO(s.st_mode) || (S_ISCHR(s.st_mode) && ::isatty(fd)) ? thing::stream : thing::device;
}

size_t length_of(std::span<iovec const> v) noexcept {
    return std::accumulate(v.begin(), v.end(), size_t(0), [](size_t sum, iovec const& x) { return sum + x.iov_len; });
}

/// The part of a list of buffers that follows the first bytes.
class buffers_after {
public:
    /// @throws std::bad_alloc if there are many
    buffers_after(std::span<iovec const> all, size_t skipped) {
        if (all.size() > few_.size())
            many_.resize(all.size());
        iovec* const out = many_.empty() ? few_.data() : many_.data();
        size_t n = 0;
        for (iovec x : all) {
            if (skipped >= x.iov_len) {
                skipped -= x.iov_len;
                continue;
            }
            x.iov_base = static_cast<char*>(x.iov_base) + skipped;
            x.iov_len -= skipped;
            skipped = 0;
            out[n++] = x;
        }
        rest_ = std::span(out, n);
    }
    buffers_after(buffers_after const&) = delete;
    std::span<iovec> operator*() const noexcept { return rest_; }

private:
    std::array<iovec, 8> few_;
    std::vector<iovec> many_;
    std::span<iovec> rest_;
};

/// @returns what `f` returns, or -1 with ENOMEM
template <class F> ssize_t or_no_memory(F f) noexcept {
    try {
        return f();
    } catch (std::bad_alloc const&) {
        return fail(ENOMEM);
    }
}

constexpr bool one_piece = false, all = true;

/// With these a call has its answer at once.
constexpr int never_waits = MSG_DONTWAIT | MSG_ERRQUEUE | MSG_OOB;

/// May what it says be looked at?
bool is_plausible(msghdr const* m) noexcept {
    return m && m->msg_iovlen <= IOV_MAX && (m->msg_iov || m->msg_iovlen == 0);
}

} // namespace

namespace on_portal {

ssize_t recvfrom(caller const& by, int fd, void* data, size_t n, int flags, sockaddr* from, socklen_t* size) noexcept {
    if (flags & never_waits)
        return plain::recvfrom(fd, data, n, flags, from, size);
    bool const whole = (flags & MSG_WAITALL) && !(flags & MSG_PEEK) && is_stream(fd);
    ssize_t const received = transfer(by, fd, POLLIN, n, whole, [&](size_t transferred) {
        return plain::recvfrom(fd, static_cast<char*>(data) + transferred, n - transferred, flags | MSG_DONTWAIT, from,
                               size);
    });
    return done(by, received, fd);
}

ssize_t recvmsg(caller const& by, int fd, msghdr* m, int flags) noexcept {
    if ((flags & never_waits) || !is_plausible(m)) // the kernel has the right error for what is not
        return plain::recvmsg(fd, m, flags | MSG_DONTWAIT);
    msghdr const asked = *m; // the call overwrites some of it
    std::span<iovec const> const buffers(asked.msg_iov, asked.msg_iovlen);
    // What comes beside the bytes, descriptors say, comes with some of them: one attempt takes it all.
    bool const whole = (flags & MSG_WAITALL) && !(flags & MSG_PEEK) && asked.msg_controllen == 0 && is_stream(fd);
    ssize_t const received = transfer(by, fd, POLLIN, length_of(buffers), whole, [&](size_t transferred) {
        if (transferred == 0) {
            *m = asked;
            return plain::recvmsg(fd, m, flags | MSG_DONTWAIT);
        }
        return or_no_memory([&] {
            buffers_after const rest(buffers, transferred);
            msghdr more{};
            more.msg_iov = (*rest).data();
            more.msg_iovlen = (*rest).size();
            return plain::recvmsg(fd, &more, flags | MSG_DONTWAIT);
        });
    });
    return done(by, received, fd);
}

ssize_t read(caller const& by, int fd, void* data, size_t n) noexcept {
    if (n == 0)
        return plain::read(fd, data, n);
    bool is_socket = true;
    ssize_t const result = transfer(by, fd, POLLIN, n, one_piece, [&](size_t) {
        ssize_t const received = plain::recv(fd, data, n, MSG_DONTWAIT);
        if (is_socket_error(received))
            return received;
        is_socket = false;
        return if_ready(fd, POLLIN, [&] { return plain::read(fd, data, n); });
    });
    return is_socket ? done(by, result, fd) : result;
}

ssize_t readv(caller const& by, int fd, iovec const* v, int n) noexcept {
    if (!v || n <= 0 || n > IOV_MAX || length_of({v, static_cast<size_t>(n)}) == 0)
        return plain::readv(fd, v, n);
    bool is_socket = true;
    ssize_t const result = transfer(by, fd, POLLIN, 1, one_piece, [&](size_t) {
        msghdr m{};
        m.msg_iov = const_cast<iovec*>(v);
        m.msg_iovlen = static_cast<size_t>(n);
        ssize_t const received = plain::recvmsg(fd, &m, MSG_DONTWAIT);
        if (is_socket_error(received))
            return received;
        is_socket = false;
        return if_ready(fd, POLLIN, [&] { return plain::readv(fd, v, n); });
    });
    return is_socket ? done(by, result, fd) : result;
}

ssize_t sendto(caller const& by, int fd, void const* data, size_t n, int flags, sockaddr const* to,
               socklen_t size) noexcept {
    if (flags & MSG_DONTWAIT)
        return plain::sendto(fd, data, n, flags, to, size);
    return transfer(by, fd, POLLOUT, n, all, [&](size_t transferred) {
        return plain::sendto(fd, static_cast<char const*>(data) + transferred, n - transferred, flags | MSG_DONTWAIT,
                             to, size);
    });
}

ssize_t sendmsg(caller const& by, int fd, msghdr const* m, int flags) noexcept {
    if ((flags & MSG_DONTWAIT) || !is_plausible(m))
        return plain::sendmsg(fd, m, flags | MSG_DONTWAIT);
    std::span<iovec const> const buffers(m->msg_iov, m->msg_iovlen);
    return transfer(by, fd, POLLOUT, length_of(buffers), all, [&](size_t transferred) {
        if (transferred == 0)
            return plain::sendmsg(fd, m, flags | MSG_DONTWAIT);
        return or_no_memory([&] { // what goes with the bytes, descriptors say, went with the first
            buffers_after const rest(buffers, transferred);
            msghdr more = *m;
            more.msg_iov = (*rest).data();
            more.msg_iovlen = (*rest).size();
            more.msg_control = nullptr;
            more.msg_controllen = 0;
            return plain::sendmsg(fd, &more, flags | MSG_DONTWAIT);
        });
    });
}

// A pipe that poll calls writable takes PIPE_BUF bytes at once (pipe(7), and Linux's pipe_poll); no more is tried, as the
// rest would block.

ssize_t write(caller const& by, int fd, void const* data, size_t n) noexcept {
    if (n == 0)
        return plain::write(fd, data, n);
    bool whole = true;
    return transfer(by, fd, POLLOUT, n, whole, [&](size_t transferred) {
        char const* const rest = static_cast<char const*>(data) + transferred;
        size_t const left = n - transferred;
        ssize_t const sent = plain::send(fd, rest, left, MSG_DONTWAIT);
        if (is_socket_error(sent))
            return sent;
        thing const what = thing_behind(fd);
        whole = what == thing::stream;
        if (what == thing::file || is_nonblocking(fd))
            return plain::write(fd, rest, left);
        size_t const at_once = whole ? std::min<size_t>(left, PIPE_BUF) : left;
        return if_ready(fd, POLLOUT, [&] { return plain::write(fd, rest, at_once); });
    });
}

ssize_t writev(caller const& by, int fd, iovec const* v, int n) noexcept {
    if (!v || n <= 0 || n > IOV_MAX || length_of({v, static_cast<size_t>(n)}) == 0)
        return plain::writev(fd, v, n);
    std::span<iovec const> const buffers(v, static_cast<size_t>(n));
    size_t const total = length_of(buffers);
    bool whole = true;
    return transfer(by, fd, POLLOUT, total, whole, [&](size_t transferred) {
        return or_no_memory([&]() -> ssize_t {
            buffers_after const rest(buffers, transferred);
            msghdr m{};
            m.msg_iov = (*rest).data();
            m.msg_iovlen = (*rest).size();
            ssize_t const sent = plain::sendmsg(fd, &m, MSG_DONTWAIT);
            if (is_socket_error(sent))
                return sent;
            thing const what = thing_behind(fd);
            whole = what == thing::stream;
            auto const write_rest = [&] { return plain::writev(fd, (*rest).data(), static_cast<int>((*rest).size())); };
            if (what == thing::file || is_nonblocking(fd))
                return write_rest();
            return if_ready(fd, POLLOUT, [&] {
                iovec const& first = (*rest).front();
                return !whole || total - transferred <= PIPE_BUF // in one piece, as a pipe guarantees
                           ? write_rest()
                           : plain::write(fd, first.iov_base, std::min<size_t>(first.iov_len, PIPE_BUF));
            });
        });
    });
}

} // namespace on_portal
} // namespace greenback::detail::blocking::inline GREENBACK_BACKEND_NAMESPACE
