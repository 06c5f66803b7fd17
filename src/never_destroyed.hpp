// SPDX-License-Identifier: MIT
// A static object that is there for as long as any code runs.
#pragma once

namespace greenback::detail {

/// Holds a T that is never destroyed: fibers end, and stacks are released, by the destructors of the program's other
/// static objects as well. To be declared `constinit`, so that it is constructed before any code runs.
template <class T> union never_destroyed {
    constexpr never_destroyed() noexcept : value_() {}
    never_destroyed(never_destroyed const&) = delete;
    never_destroyed& operator=(never_destroyed const&) = delete;
    ~never_destroyed() {} // NOLINT: nothing is destroyed, on purpose

    constexpr T& operator*() noexcept { return value_; }
    constexpr T* operator->() noexcept { return &value_; }

private:
    T value_;
};

} // namespace greenback::detail
