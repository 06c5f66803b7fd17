// SPDX-License-Identifier: MIT
#include "await_ready.hpp"

#include "error_number.hpp"
#include "plain_calls.hpp"

#include <greenback/await.hpp>

#include <fcntl.h>

#include <algorithm>
#include <atomic>

#if defined(GREENBACK_USE_BOOST_ASIO)
#include <boost/asio/post.hpp>
#else
#include <asio/post.hpp>
#endif

namespace greenback::detail::blocking::inline GREENBACK_BACKEND_NAMESPACE {
namespace {

std::atomic<std::uint64_t> waits{0};

/// What a thread has seen of calls that did not block. A portal that goes on elsewhere counts from the start there.
struct busy_time {
    any_portal const* portal = nullptr;
    unsigned calls = 0;
    std::int64_t since = 0; ///< milliseconds
};
constinit thread_local busy_time busy;

/// A clock that is cheap to ask and exact to a few milliseconds.
std::int64_t coarse_milliseconds() noexcept {
    timespec t;
    ::clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

[[gnu::noinline]] bool has_been_busy_for_long(any_portal const& portal) noexcept {
    std::int64_t const now = coarse_milliseconds();
    if (busy.portal != &portal) {
        busy.portal = &portal;
        busy.since = now;
    }
    return now - busy.since >= 10;
}
/// Not closed meanwhile; where it is not the descriptor that is bad, it is our epoll.
bool is_open(int fd) noexcept { return ::fcntl(fd, F_GETFD) >= 0; }

[[gnu::noinline]] void has_waited() noexcept { busy.portal = nullptr; }

} // namespace

int begin_wait(caller const& by) noexcept {
    if (by.is_abandoned())
        return ECANCELED;
    has_waited();
    waits.fetch_add(1, std::memory_order_relaxed);
    return 0;
}

int await_ready(caller const& by, std::span<pollfd const> descriptors, deadline const& until) noexcept {
    int const why_not = await_in_room(by, until, [&](wait& w) { return w.run(by.call(), descriptors); });
    auto const is_closed = [](pollfd const& p) { return p.fd >= 0 && !is_open(p.fd); };
    if (why_not == EBADF && std::ranges::any_of(descriptors, is_closed))
        return 0; // the call itself says it, as it says it
    return why_not;
}
int await_ready(caller const& by, int fd, short events, socket_timeout& timeout) noexcept {
    pollfd const descriptor{fd, events, 0};
    int const why_not = await_in_room(by, timeout.until,
                                      [&](wait& w) { return w.run(by.call(), std::span(&descriptor, 1), &timeout); });
    return why_not == EBADF && !is_open(fd) ? 0 : why_not;
}
int await_time(caller const& by, deadline const& until) noexcept {
    return await_in_room(by, until, [&](wait& w) { return w.run(by.call(), {}); });
}

namespace {

GREENBACK_COLD void yield_if_busy_for_long(caller const& by, int fd) noexcept {
    int const e = error_number();
    if (!has_been_busy_for_long(by.portal()) || by.is_abandoned() || (fd >= 0 && is_nonblocking(fd)))
        return set_error_number(e);
    has_waited();
    try {
        // A turn of the loop, and not a wait: a cancelled task is told by the next call that would block.
        bool& throws = by.portal().throws_if_cancelled();
        bool const as_before = std::exchange(throws, false);
        asio::any_io_executor const executor = by.portal().executor();
        await_([&](auto token) { return asio::post(executor, token); }, by.call());
        by.portal().throws_if_cancelled() = as_before;
    } catch (...) { // the task is being destroyed: the next await says it again
        return set_error_number(e);
    }
    set_error_number(e);
}

} // namespace

/// Not inlined: its caller may have waited, and changed threads.
[[gnu::noinline]] void may_yield(caller const& by, int fd) noexcept {
    if (++busy.calls % 64 == 0) [[unlikely]]
        yield_if_busy_for_long(by, fd);
}

std::uint64_t waits_so_far() noexcept { return waits.load(std::memory_order_relaxed); }

bool is_ready(int fd, short events) noexcept {
    pollfd p{fd, events, 0};
    int count;
    do
        count = plain::poll(&p, 1, 0);
    while (count < 0 && error_number() == EINTR);
    return count != 0;
}

bool is_nonblocking(int fd) noexcept { return (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0; }

} // namespace greenback::detail::blocking::inline GREENBACK_BACKEND_NAMESPACE
