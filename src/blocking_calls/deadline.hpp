// SPDX-License-Identifier: MIT
// Until when a call may wait.
#pragma once

#include <sys/time.h>

#include <algorithm>
#include <chrono>
#include <ctime>

namespace greenback::detail::blocking {

using clock = std::chrono::steady_clock;

class deadline {
public:
    constexpr deadline() noexcept = default; ///< never

    static deadline in(std::chrono::nanoseconds d) noexcept {
        auto const now = clock::now();
        // A century is for ever, too: programs say it with the largest number there is.
        return d < std::chrono::hours(24 * 365 * 100) ? deadline(now + d) : deadline();
    }
    static deadline in_milliseconds(int ms) noexcept { return ms < 0 ? deadline() : in(std::chrono::milliseconds(ms)); }
    static deadline in(timespec const& t) noexcept { return in(duration_of(t)); }
    static deadline in(timeval const& t) noexcept {
        return in(timespec{t.tv_sec, static_cast<long>(t.tv_usec) * 1000});
    }

    /// Saturating: `time_t` has more seconds than a duration's nanoseconds.
    static std::chrono::nanoseconds duration_of(timespec const& t) noexcept {
        constexpr time_t most = 292LL * 365 * 24 * 3600;
        return std::chrono::seconds(std::clamp<time_t>(t.tv_sec, -most, most)) + std::chrono::nanoseconds(t.tv_nsec);
    }

    bool is_set() const noexcept { return set_; }
    clock::time_point at() const noexcept { return at_; }
    bool passed() const noexcept { return set_ && clock::now() >= at_; }
    /// What is left of it, 0 or more. @pre is_set()
    std::chrono::nanoseconds left() const noexcept {
        return std::max(std::chrono::nanoseconds(0), std::chrono::nanoseconds(at_ - clock::now()));
    }

private:
    explicit deadline(clock::time_point at) noexcept : set_(true), at_(at) {}
    bool set_ = false;
    clock::time_point at_{};
};

} // namespace greenback::detail::blocking
