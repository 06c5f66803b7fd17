// SPDX-License-Identifier: MIT
// Durations of any kind, as those of a steady timer.
#pragma once

#include <chrono>

namespace greenback::detail {

using time_limit = std::chrono::steady_clock::duration;

/// Rounded up; what can't be represented is for ever. Asked in floating point: hours::max() would overflow otherwise.
template <class D> time_limit time_limit_of(D d) {
    static_assert(
        requires { typename std::chrono::duration<typename D::rep, typename D::period>; },
        "greenback: the time to wait is a std::chrono::duration: std::chrono::milliseconds(200), 2s");
    using wide = std::chrono::duration<long double, time_limit::period>;
    wide const ticks = d;
    if (!(ticks > wide(0))) // nor a number at all
        return time_limit(0);
    if (ticks >= wide(time_limit::max()))
        return time_limit::max();
    return std::chrono::ceil<time_limit>(d);
}

} // namespace greenback::detail
