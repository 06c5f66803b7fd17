// SPDX-License-Identifier: MIT
// The definitions that take the place of libc's. An executable comes first when a shared library's references are
// resolved, so these are what every library of the program calls.
//
// All are in this one object: of an archive, a linker takes what something refers to that has been linked before, and a
// program whose own objects call none of these would get none. So the CMake target has it ask for `greenback_blocking_calls`.

// What -D_FORTIFY_SOURCE makes of the headers' declarations must not be in the way of definitions.
#undef _FORTIFY_SOURCE

#include "caller.hpp"
#include "calls.hpp"
#include "error_number.hpp"
#include "lookup.hpp"
#include "plain_calls.hpp"
#include "waiting_room.hpp"

#include <pthread.h>

extern "C" {
/// The anchor, see above.
[[gnu::visibility("default")]] extern int const greenback_blocking_calls;
int const greenback_blocking_calls = 1;

[[noreturn]] void __chk_fail(); // glibc's end of a program with a buffer overflow
}

namespace {

using greenback::detail::blocking::caller;
namespace plain = greenback::detail::blocking::plain;
namespace on_portal = greenback::detail::blocking::on_portal;
namespace blocking = greenback::detail::blocking;

[[maybe_unused]] int const in_children = ::pthread_atfork(nullptr, nullptr, [] {
    blocking::stay_plain_on_this_portal();
    blocking::forget_lookup_threads();
});

/// glibc's calls leave errno alone where they succeed, and programs expect it: what is tried on the way must not show.
template <auto* Call, class... Args> auto call(caller const& by, Args... args) noexcept {
    int const before = blocking::error_number();
    auto const result = Call(by, args...);
    if (result != -1)
        blocking::set_error_number(before);
    return result;
}

} // namespace

/// A function of our own with a symbol of libc's: so it need not be declared, or fortified, as a header does it.
#define GREENBACK_CALL(type, name, ...) \
    extern "C" [[gnu::visibility("default"), gnu::used]] type greenback_##name(__VA_ARGS__) asm(#name); \
    extern "C" type greenback_##name(__VA_ARGS__)

/// `plain_call` where that is what is to be made.
#define GREENBACK_ELSEWHERE(plain_call) \
    caller const by = caller::here(std::source_location::current()); \
    if (by.is_elsewhere()) [[likely]] \
        return plain_call;

// ---- reading and writing --------------------------------------------------------------------------------------------

GREENBACK_CALL(ssize_t, read, int fd, void* data, size_t n) {
    GREENBACK_ELSEWHERE(plain::read(fd, data, n))
    return call<on_portal::read>(by, fd, data, n);
}
GREENBACK_CALL(ssize_t, readv, int fd, iovec const* v, int n) {
    GREENBACK_ELSEWHERE(plain::readv(fd, v, n))
    return call<on_portal::readv>(by, fd, v, n);
}
GREENBACK_CALL(ssize_t, recv, int fd, void* data, size_t n, int flags) {
    GREENBACK_ELSEWHERE(plain::recv(fd, data, n, flags))
    return call<on_portal::recvfrom>(by, fd, data, n, flags, nullptr, nullptr);
}
GREENBACK_CALL(ssize_t, recvfrom, int fd, void* data, size_t n, int flags, sockaddr* from, socklen_t* size) {
    GREENBACK_ELSEWHERE(plain::recvfrom(fd, data, n, flags, from, size))
    return call<on_portal::recvfrom>(by, fd, data, n, flags, from, size);
}
GREENBACK_CALL(ssize_t, recvmsg, int fd, msghdr* m, int flags) {
    GREENBACK_ELSEWHERE(plain::recvmsg(fd, m, flags))
    return call<on_portal::recvmsg>(by, fd, m, flags);
}
GREENBACK_CALL(ssize_t, write, int fd, void const* data, size_t n) {
    GREENBACK_ELSEWHERE(plain::write(fd, data, n))
    return call<on_portal::write>(by, fd, data, n);
}
GREENBACK_CALL(ssize_t, writev, int fd, iovec const* v, int n) {
    GREENBACK_ELSEWHERE(plain::writev(fd, v, n))
    return call<on_portal::writev>(by, fd, v, n);
}
GREENBACK_CALL(ssize_t, send, int fd, void const* data, size_t n, int flags) {
    GREENBACK_ELSEWHERE(plain::send(fd, data, n, flags))
    return call<on_portal::sendto>(by, fd, data, n, flags, nullptr, socklen_t(0));
}
GREENBACK_CALL(ssize_t, sendto, int fd, void const* data, size_t n, int flags, sockaddr const* to, socklen_t size) {
    GREENBACK_ELSEWHERE(plain::sendto(fd, data, n, flags, to, size))
    return call<on_portal::sendto>(by, fd, data, n, flags, to, size);
}
GREENBACK_CALL(ssize_t, sendmsg, int fd, msghdr const* m, int flags) {
    GREENBACK_ELSEWHERE(plain::sendmsg(fd, m, flags))
    return call<on_portal::sendmsg>(by, fd, m, flags);
}

// ---- readiness: with a timeout of 0, or a signal mask to be set meanwhile, the plain calls -----------------------------

GREENBACK_CALL(int, poll, pollfd* fds, nfds_t n, int milliseconds) {
    GREENBACK_ELSEWHERE(plain::poll(fds, n, milliseconds))
    return call<on_portal::poll>(by, fds, n, milliseconds);
}
GREENBACK_CALL(int, ppoll, pollfd* fds, nfds_t n, timespec const* timeout, sigset_t const* mask) {
    GREENBACK_ELSEWHERE(plain::ppoll(fds, n, timeout, mask))
    return mask ? plain::ppoll(fds, n, timeout, mask) : call<on_portal::ppoll>(by, fds, n, timeout);
}
GREENBACK_CALL(int, select, int n, fd_set* r, fd_set* w, fd_set* x, timeval* timeout) {
    GREENBACK_ELSEWHERE(plain::select(n, r, w, x, timeout))
    return call<on_portal::select>(by, n, r, w, x, timeout);
}
GREENBACK_CALL(int, pselect, int n, fd_set* r, fd_set* w, fd_set* x, timespec const* timeout, sigset_t const* mask) {
    GREENBACK_ELSEWHERE(plain::pselect(n, r, w, x, timeout, mask))
    return mask ? plain::pselect(n, r, w, x, timeout, mask) : call<on_portal::pselect>(by, n, r, w, x, timeout);
}
GREENBACK_CALL(int, epoll_wait, int epoll, epoll_event* events, int n, int milliseconds) {
    GREENBACK_ELSEWHERE(plain::epoll_wait(epoll, events, n, milliseconds))
    return call<on_portal::epoll_wait>(by, epoll, events, n, milliseconds);
}

// ---- connections ----------------------------------------------------------------------------------------------------

GREENBACK_CALL(int, connect, int fd, sockaddr const* to, socklen_t size) {
    GREENBACK_ELSEWHERE(plain::connect(fd, to, size))
    return call<on_portal::connect>(by, fd, to, size);
}
GREENBACK_CALL(int, accept, int fd, sockaddr* from, socklen_t* size) {
    GREENBACK_ELSEWHERE(plain::accept(fd, from, size))
    return call<on_portal::accept4>(by, fd, from, size, 0);
}
GREENBACK_CALL(int, accept4, int fd, sockaddr* from, socklen_t* size, int flags) {
    GREENBACK_ELSEWHERE(plain::accept4(fd, from, size, flags))
    return call<on_portal::accept4>(by, fd, from, size, flags);
}
/// Blocks nowhere: it tells when what was asked of sockets' timeouts is no longer true.
GREENBACK_CALL(int, setsockopt, int fd, int level, int option, void const* value, socklen_t size) {
    int const result = plain::setsockopt(fd, level, option, value, size);
    if (level == SOL_SOCKET && (option == SO_RCVTIMEO || option == SO_SNDTIMEO))
        blocking::socket_timeouts_have_changed();
    return result;
}

// ---- time -----------------------------------------------------------------------------------------------------------

GREENBACK_CALL(unsigned, sleep, unsigned seconds) {
    GREENBACK_ELSEWHERE(plain::sleep(seconds))
    return on_portal::sleep(by, seconds);
}
GREENBACK_CALL(int, usleep, useconds_t microseconds) {
    GREENBACK_ELSEWHERE(plain::usleep(microseconds))
    return call<on_portal::usleep>(by, microseconds);
}
GREENBACK_CALL(int, nanosleep, timespec const* duration, timespec* left) {
    GREENBACK_ELSEWHERE(plain::nanosleep(duration, left))
    return call<on_portal::nanosleep>(by, duration, left);
}
GREENBACK_CALL(int, clock_nanosleep, clockid_t clock, int flags, timespec const* t, timespec* left) {
    GREENBACK_ELSEWHERE(plain::clock_nanosleep(clock, flags, t, left))
    return on_portal::clock_nanosleep(by, clock, flags, t, left);
}

// ---- names ----------------------------------------------------------------------------------------------------------

GREENBACK_CALL(int, getaddrinfo, char const* host, char const* service, addrinfo const* hints, addrinfo** result) {
    GREENBACK_ELSEWHERE(plain::getaddrinfo(host, service, hints, result))
    return on_portal::getaddrinfo(by, host, service, hints, result);
}

// ---- what -D_FORTIFY_SOURCE calls in the place of some ----------------------------------------------------------------

#define GREENBACK_CHECK(n, size) \
    if ((n) > (size)) \
        __chk_fail();

GREENBACK_CALL(ssize_t, __read_chk, int fd, void* data, size_t n, size_t size) {
    GREENBACK_CHECK(n, size)
    return greenback_read(fd, data, n);
}
GREENBACK_CALL(ssize_t, __recv_chk, int fd, void* data, size_t n, size_t size, int flags) {
    GREENBACK_CHECK(n, size)
    return greenback_recv(fd, data, n, flags);
}
GREENBACK_CALL(ssize_t, __recvfrom_chk, int fd, void* data, size_t n, size_t size, int flags, sockaddr* from,
               socklen_t* from_size) {
    GREENBACK_CHECK(n, size)
    return greenback_recvfrom(fd, data, n, flags, from, from_size);
}
GREENBACK_CALL(int, __poll_chk, pollfd* fds, nfds_t n, int milliseconds, size_t size) {
    GREENBACK_CHECK(n, size / sizeof *fds)
    return greenback_poll(fds, n, milliseconds);
}
GREENBACK_CALL(int, __ppoll_chk, pollfd* fds, nfds_t n, timespec const* timeout, sigset_t const* mask, size_t size) {
    GREENBACK_CHECK(n, size / sizeof *fds)
    return greenback_ppoll(fds, n, timeout, mask);
}
