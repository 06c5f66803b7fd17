// SPDX-License-Identifier: MIT
// poll, select, epoll_wait and their relatives.
#include "await_ready.hpp"
#include "calls.hpp"
#include "error_number.hpp"
#include "plain_calls.hpp"

#include <span>
#include <vector>

namespace greenback::detail::blocking::inline GREENBACK_BACKEND_NAMESPACE {
namespace {

/// The plain call tells, again and again, until there is something to tell.
int poll_until(caller const& by, pollfd* fds, nfds_t n, deadline const& until) noexcept {
    for (;;) {
        int const count = plain::poll(fds, n, 0);
        if (count > 0 || until.passed())
            return done(by, count);
        if (count < 0) {
            if (error_number() == EINTR)
                continue;
            return count;
        }
        int const why_not = await_ready(by, std::span(fds, n), until);
        if (why_not && why_not != ETIMEDOUT)
            return fail(why_not);
    }
}

/// select's sets as poll's list, and back.
int select_until(caller const& by, int n, fd_set* readable, fd_set* writable, fd_set* exceptional,
                 deadline const& until) noexcept {
    if (n < 0)
        return fail(EINVAL);
    n = std::min<int>(n, FD_SETSIZE);
    auto const has = [](fd_set* s, int fd) { return s && FD_ISSET(fd, s); };
    std::vector<pollfd> asked;
    try {
        for (int fd = 0; fd < n; ++fd) {
            int const events = (has(readable, fd) ? POLLIN : 0) | (has(writable, fd) ? POLLOUT : 0) |
                               (has(exceptional, fd) ? POLLPRI : 0);
            if (events)
                asked.push_back({fd, static_cast<short>(events), 0});
        }
    } catch (std::bad_alloc const&) {
        return fail(ENOMEM);
    }
    int const ready = poll_until(by, asked.data(), asked.size(), until);
    if (ready < 0)
        return ready;
    for (pollfd const& p : asked) {
        if (p.revents & POLLNVAL)
            return fail(EBADF);
    }
    int count = 0;
    for (pollfd const& p : asked) {
        auto const keep = [&](fd_set* s, int event, int means) {
            if (!(p.events & event))
                return;
            if (p.revents & means)
                ++count;
            else
                FD_CLR(p.fd, s);
        };
        keep(readable, POLLIN, POLLIN | POLLHUP | POLLERR); // as Linux's select has it
        keep(writable, POLLOUT, POLLOUT | POLLERR);
        keep(exceptional, POLLPRI, POLLPRI);
    }
    return count;
}

} // namespace

namespace on_portal {

int poll(caller const& by, pollfd* fds, nfds_t n, int milliseconds) noexcept {
    return poll_until(by, fds, n, deadline::in_milliseconds(milliseconds));
}

int ppoll(caller const& by, pollfd* fds, nfds_t n, timespec const* timeout) noexcept {
    if (timeout && (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec > 999999999))
        return fail(EINVAL);
    return poll_until(by, fds, n, timeout ? deadline::in(*timeout) : deadline());
}

int select(caller const& by, int n, fd_set* r, fd_set* w, fd_set* x, timeval* timeout) noexcept {
    if (timeout && (timeout->tv_sec < 0 || timeout->tv_usec < 0))
        return fail(EINVAL);
    deadline const until = timeout ? deadline::in(*timeout) : deadline();
    int const count = select_until(by, n, r, w, x, until);
    if (timeout && until.is_set()) { // Linux says what is left
        auto const left = std::chrono::duration_cast<std::chrono::microseconds>(until.left()).count();
        timeout->tv_sec = left / 1000000;
        timeout->tv_usec = left % 1000000;
    }
    return count;
}

int pselect(caller const& by, int n, fd_set* r, fd_set* w, fd_set* x, timespec const* timeout) noexcept {
    if (timeout && (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec > 999999999))
        return fail(EINVAL);
    return select_until(by, n, r, w, x, timeout ? deadline::in(*timeout) : deadline());
}

int epoll_wait(caller const& by, int epoll, epoll_event* events, int n, int milliseconds) noexcept {
    deadline const until = deadline::in_milliseconds(milliseconds);
    for (;;) {
        int const count = plain::epoll_wait(epoll, events, n, 0);
        if (count != 0 || until.passed())
            return done(by, count);
        pollfd const p{epoll, POLLIN, 0};
        int const why_not = await_ready(by, std::span(&p, 1), until);
        if (why_not && why_not != ETIMEDOUT)
            return fail(why_not);
    }
}

} // namespace on_portal
} // namespace greenback::detail::blocking::inline GREENBACK_BACKEND_NAMESPACE
