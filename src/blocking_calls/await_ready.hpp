// SPDX-License-Identifier: MIT
// What the calls do where they would block; and, now and then, where they would not.
#pragma once

#include "caller.hpp"
#include "waiting_room.hpp"

#include <greenback/blocking_calls.hpp>

#include <poll.h>

#include <chrono>
#include <cstdint>
#include <span>

namespace greenback::detail::blocking::inline GREENBACK_BACKEND_NAMESPACE {

/// Counts the wait. @returns 0 or ECANCELED: the task is being destroyed
int begin_wait(caller const& by) noexcept;

/// What all waits have in common; `run` makes one.
template <class Run> int await_in_room(caller const& by, deadline const& until, Run run) noexcept {
    int why_not = begin_wait(by);
    if (why_not == 0) {
        wait w(by.portal(), until);
        why_not = run(w);
    }
    if (why_not == ECANCELED)
        blocking_calls_scope::call_has_failed(static_cast<portal_base const*>(&by.portal()));
    return why_not;
}

/// @returns 0: try again · ETIMEDOUT · ECANCELED: the task is cancelled, or being destroyed · what the system had to say
int await_ready(caller const& by, std::span<pollfd const> descriptors, deadline const& until) noexcept;
/// The same for one descriptor, with the timeout of a socket.
int await_ready(caller const& by, int fd, short events, socket_timeout& timeout) noexcept;
/// For a while. @returns ETIMEDOUT: it is over · ECANCELED
int await_time(caller const& by, deadline const& until) noexcept;

/// After a call that has not blocked, but might have. A loop of such calls, as over a connection that always has more,
/// would never let another task run: after some 10 ms of it, one may.
///
/// Not after a call that never waits for anybody, on a descriptor that is O_NONBLOCK, say: Asio holds a lock while it makes
/// one. And not after writes, nor where a file is read: those are made with locks held that other tasks want, a log's.
/// Asks for the time only once in so many calls; so it costs a nanosecond. errno stays as it is.
/// @param fd the descriptor; -1: it was a call that waits for any
void may_yield(caller const& by, int fd = -1) noexcept;

/// For a call's result.
template <class T> T done(caller const& by, T result, int fd = -1) noexcept {
    may_yield(by, fd);
    return result;
}

/// Is there now one of the events, or an error? A signal is no answer.
bool is_ready(int fd, short events) noexcept;

/// How often portals have waited.
std::uint64_t waits_so_far() noexcept;

/// O_NONBLOCK: then the call is not to wait.
bool is_nonblocking(int fd) noexcept;

} // namespace greenback::detail::blocking::inline GREENBACK_BACKEND_NAMESPACE
