// SPDX-License-Identifier: MIT
// libc's calls, made on a portal. Each takes the caller first, and else what the call takes; none lets an exception out.
#pragma once

#include "caller.hpp"

#include <netdb.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <ctime>

namespace greenback::detail::blocking::inline GREENBACK_BACKEND_NAMESPACE::on_portal {

// transfer.cpp
ssize_t read(caller const&, int fd, void* data, size_t n) noexcept;
ssize_t readv(caller const&, int fd, iovec const* v, int n) noexcept;
ssize_t recvfrom(caller const&, int fd, void* data, size_t n, int flags, sockaddr* from, socklen_t* size) noexcept;
ssize_t recvmsg(caller const&, int fd, msghdr* m, int flags) noexcept;
ssize_t write(caller const&, int fd, void const* data, size_t n) noexcept;
ssize_t writev(caller const&, int fd, iovec const* v, int n) noexcept;
ssize_t sendto(caller const&, int fd, void const* data, size_t n, int flags, sockaddr const* to,
               socklen_t size) noexcept;
ssize_t sendmsg(caller const&, int fd, msghdr const* m, int flags) noexcept;

// readiness.cpp
int poll(caller const&, pollfd* fds, nfds_t n, int milliseconds) noexcept;
int ppoll(caller const&, pollfd* fds, nfds_t n, timespec const* timeout) noexcept;
int select(caller const&, int n, fd_set* r, fd_set* w, fd_set* x, timeval* timeout) noexcept;
int pselect(caller const&, int n, fd_set* r, fd_set* w, fd_set* x, timespec const* timeout) noexcept;
int epoll_wait(caller const&, int epoll, epoll_event* events, int n, int milliseconds) noexcept;

// connection.cpp
int connect(caller const&, int fd, sockaddr const* to, socklen_t size) noexcept;
int accept4(caller const&, int fd, sockaddr* from, socklen_t* size, int flags) noexcept;

// time.cpp
unsigned sleep(caller const&, unsigned seconds) noexcept;
int usleep(caller const&, useconds_t microseconds) noexcept;
int nanosleep(caller const&, timespec const* duration, timespec* left) noexcept;
int clock_nanosleep(caller const&, clockid_t clock, int flags, timespec const* t, timespec* left) noexcept;

// lookup.cpp
int getaddrinfo(caller const&, char const* host, char const* service, addrinfo const* hints,
                addrinfo** result) noexcept;

} // namespace greenback::detail::blocking::inline GREENBACK_BACKEND_NAMESPACE::on_portal
