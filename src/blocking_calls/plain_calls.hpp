// SPDX-License-Identifier: MIT
// libc's own calls: what the program would have without this component.
#pragma once

#include <netdb.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <ctime>

namespace greenback::detail::blocking {

/// The function that the program would have under this name without ours. Behind a sanitizer it is the sanitizer's: an
/// overrun by a `read` is reported as ever.
void* find_plain_call(char const* name) noexcept;

template <std::size_t N> struct call_name {
    char text[N];
    constexpr call_name(char const (&literal)[N]) { std::copy_n(literal, N, text); }
};

/// One of them, looked up when it is first called: constructors of shared libraries may call before ours have run.
///
/// Not noexcept: each of these is a cancellation point, and pthread_cancel unwinds by an exception of its own.
template <call_name Name, class F> class plain_call;
template <call_name Name, class R, class... A> class plain_call<Name, R(A...)> {
public:
    R operator()(A... a) const { return function_.load(std::memory_order_relaxed)(a...); }

private:
    static R look_up(A... a) {
        auto* const found = reinterpret_cast<R (*)(A...)>(find_plain_call(Name.text));
        function_.store(found, std::memory_order_relaxed); // by whatever thread: all find the same
        return found(a...);
    }
    static inline constinit std::atomic<R (*)(A...)> function_{&look_up};
};

namespace plain {

inline constexpr plain_call<"read", ssize_t(int, void*, size_t)> read;
inline constexpr plain_call<"readv", ssize_t(int, iovec const*, int)> readv;
inline constexpr plain_call<"recv", ssize_t(int, void*, size_t, int)> recv;
inline constexpr plain_call<"recvfrom", ssize_t(int, void*, size_t, int, sockaddr*, socklen_t*)> recvfrom;
inline constexpr plain_call<"recvmsg", ssize_t(int, msghdr*, int)> recvmsg;
inline constexpr plain_call<"write", ssize_t(int, void const*, size_t)> write;
inline constexpr plain_call<"writev", ssize_t(int, iovec const*, int)> writev;
inline constexpr plain_call<"send", ssize_t(int, void const*, size_t, int)> send;
inline constexpr plain_call<"sendto", ssize_t(int, void const*, size_t, int, sockaddr const*, socklen_t)> sendto;
inline constexpr plain_call<"sendmsg", ssize_t(int, msghdr const*, int)> sendmsg;
inline constexpr plain_call<"poll", int(pollfd*, nfds_t, int)> poll;
inline constexpr plain_call<"ppoll", int(pollfd*, nfds_t, timespec const*, sigset_t const*)> ppoll;
inline constexpr plain_call<"select", int(int, fd_set*, fd_set*, fd_set*, timeval*)> select;
inline constexpr plain_call<"pselect", int(int, fd_set*, fd_set*, fd_set*, timespec const*, sigset_t const*)> pselect;
inline constexpr plain_call<"epoll_wait", int(int, epoll_event*, int, int)> epoll_wait;
inline constexpr plain_call<"connect", int(int, sockaddr const*, socklen_t)> connect;
inline constexpr plain_call<"accept", int(int, sockaddr*, socklen_t*)> accept;
inline constexpr plain_call<"accept4", int(int, sockaddr*, socklen_t*, int)> accept4;
inline constexpr plain_call<"setsockopt", int(int, int, int, void const*, socklen_t)> setsockopt;
inline constexpr plain_call<"sleep", unsigned(unsigned)> sleep;
inline constexpr plain_call<"usleep", int(useconds_t)> usleep;
inline constexpr plain_call<"nanosleep", int(timespec const*, timespec*)> nanosleep;
inline constexpr plain_call<"clock_nanosleep", int(clockid_t, int, timespec const*, timespec*)> clock_nanosleep;
inline constexpr plain_call<"getaddrinfo", int(char const*, char const*, addrinfo const*, addrinfo**)> getaddrinfo;

} // namespace plain

} // namespace greenback::detail::blocking
