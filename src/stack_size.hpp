// SPDX-License-Identifier: MIT
// The sizes that stacks can have: their units, their bounds and how they are rounded.
#pragma once

#include <cstddef>

namespace greenback::detail {

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = 1024 * kib;
constexpr bool wide_addresses = sizeof(void*) >= 8;

constexpr std::size_t min_stack_size = 16 * kib;
constexpr std::size_t max_stack_size = wide_addresses ? mib << (wide_addresses ? 20 : 0) : 256 * mib;

constexpr std::size_t round_up(std::size_t value, std::size_t power_of_two) noexcept {
    return (value + power_of_two - 1) & ~(power_of_two - 1);
}

/// Whole pages, then the size of the class; 0 if there is no class for it.
std::size_t rounded(std::size_t size) noexcept;

} // namespace greenback::detail
