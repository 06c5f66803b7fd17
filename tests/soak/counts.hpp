// SPDX-License-Identifier: MIT
//
// What has happened how often, by name.
#pragma once

#include <atomic>
#include <cstdint>
#include <ostream>
#include <string_view>

namespace soak {

/// One more of `what`. @param what a literal; the group ("trouble", "failed", "kind", …) comes first, before a colon
void count(std::string_view what) noexcept;

/// How often so far. Of none that was never counted.
std::uint64_t counted(std::string_view what) noexcept;

/// All of a group, one a line.
void write_counts(std::ostream& out, std::string_view group);

/// The run has found a fault: says so, with the seed, and ends the program with exit code 1.
[[noreturn]] void fault(std::string_view text) noexcept;

} // namespace soak
