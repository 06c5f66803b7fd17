// SPDX-License-Identifier: MIT
// sleep and its relatives. They end no earlier than asked, whatever signals come.
#include "await_ready.hpp"
#include "calls.hpp"
#include "error_number.hpp"
#include "plain_calls.hpp"

#include <chrono>

namespace greenback::detail::blocking::inline GREENBACK_BACKEND_NAMESPACE {
namespace {

bool is_valid(timespec const& t) noexcept { return t.tv_sec >= 0 && t.tv_nsec >= 0 && t.tv_nsec <= 999999999; }

timespec timespec_of(std::chrono::nanoseconds d) noexcept {
    return {static_cast<time_t>(d.count() / 1000000000), static_cast<long>(d.count() % 1000000000)};
}

/// @returns 0, or why not. @param left null, or set where it ends early
int sleep_for(caller const& by, std::chrono::nanoseconds duration, timespec* left) noexcept {
    if (duration.count() <= 0) {
        may_yield(by, -1); // in a loop that waits for another task so
        return 0;
    }
    deadline const until = deadline::in(duration);
    int const why_not = await_time(by, until);
    if (why_not == ETIMEDOUT || why_not == 0)
        return 0;
    if (left)
        *left = until.is_set() ? timespec_of(until.left()) : timespec_of(duration);
    return why_not;
}

} // namespace

namespace on_portal {

unsigned sleep(caller const& by, unsigned seconds) noexcept {
    timespec left{};
    int const e = sleep_for(by, std::chrono::seconds(seconds), &left);
    if (e == 0)
        return 0;
    set_error_number(e);
    return static_cast<unsigned>(left.tv_sec) + (left.tv_nsec >= 500000000); // rounded, as glibc does
}

int usleep(caller const& by, useconds_t microseconds) noexcept {
    int const e = sleep_for(by, std::chrono::microseconds(microseconds), nullptr);
    return e ? fail(e) : 0;
}

int nanosleep(caller const& by, timespec const* duration, timespec* left) noexcept {
    if (!duration)
        return fail(EFAULT);
    if (!is_valid(*duration))
        return fail(EINVAL);
    int const e = sleep_for(by, deadline::duration_of(*duration), left);
    return e ? fail(e) : 0;
}

/// This one returns its error.
int clock_nanosleep(caller const& by, clockid_t clock, int flags, timespec const* t, timespec* left) noexcept {
    if (clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME)
        return plain::clock_nanosleep(clock, flags, t, left);
    if (!t)
        return EFAULT;
    if (!is_valid(*t))
        return EINVAL;
    if (!(flags & TIMER_ABSTIME))
        return sleep_for(by, deadline::duration_of(*t), left);
    for (;;) { // the clock may be set meanwhile
        timespec now;
        ::clock_gettime(clock, &now);
        auto const duration = deadline::duration_of(*t) - deadline::duration_of(now);
        int const e = sleep_for(by, duration, nullptr);
        if (e || duration.count() <= 0)
            return e;
    }
}

} // namespace on_portal
} // namespace greenback::detail::blocking::inline GREENBACK_BACKEND_NAMESPACE
