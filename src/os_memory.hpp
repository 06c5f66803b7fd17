// SPDX-License-Identifier: MIT
// What the operating system is asked for: memory, guards, and what it knows of a process's memory. POSIX, with Linux's
// additions where they exist.
#pragma once

#include "stack_size.hpp"

#include <greenback/detail/fiber/stack_pool.hpp>

#include <algorithm>
#include <cstddef>
#include <optional>

#include <unistd.h>

namespace greenback::detail::os {

inline std::size_t page_size() noexcept {
    static auto const size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    return size;
}

/// Wider than a page, so that a function with a local buffer of up to 16 KiB can't step over the guard even
/// where the compiler doesn't probe the stack. It costs 24 bytes of page tables more than one page would.
constexpr std::size_t min_guard_size = 16 * kib;

inline std::size_t guard_size() noexcept { return std::max(min_guard_size, page_size()); }

/// Address space without memory; nullptr and errno if refused.
void* reserve(std::size_t bytes) noexcept;
void unreserve(void* base, std::size_t bytes) noexcept;

/// Pieces of memory for which the system is asked at once where it can be (Linux 6.15): a system call for each costs two
/// or three times as much as what the call does. Up to so many in a call.
struct range {
    char* begin;
    std::size_t bytes;
};
constexpr std::size_t most_ranges = 32;

/// Gives memory back to the system, whose addresses stay reserved.
/// @pre count <= most_ranges
void discard(range const* ranges, std::size_t count) noexcept;
inline void discard(void* begin, std::size_t bytes) noexcept {
    range const one{static_cast<char*>(begin), bytes};
    discard(&one, 1);
}

/// Has memory ready that is about to be written to, if that can be had for less than the first touches cost.
/// @pre count <= most_ranges
void populate(range const* ranges, std::size_t count) noexcept;

/// Makes memory inaccessible: the first `bytes` of each of `count` pieces, which lie `stride` apart. It stays so after
/// `discard` and fork().
/// @pre 0 < count <= most_ranges
/// @returns of how many, beginning with the first; with errno if not of all
std::size_t guard(void* first, std::size_t stride, std::size_t count, std::size_t bytes) noexcept;
/// How it does that.
detail::guard_kind guard_kind() noexcept;
/// For tests, see `force_protection_guards` and `force_single_advice`.
void force_protection(bool force) noexcept;
void force_single_advice(bool force) noexcept;

/// The first page in [begin, end) that has memory, in RAM or swapped out; `end` if none, nullptr if the system
/// can't tell.
char* first_touched(char* begin, char* end) noexcept;

/// How much address space this process uses, and how much of it counts as data. Nothing where there is no /proc.
struct usage {
    std::size_t address_space;
    std::size_t data;
};
std::optional<usage> memory_usage() noexcept;

/// How many mappings this process has, and may have. Nothing where there is no /proc.
std::optional<std::size_t> mapping_count() noexcept;
std::optional<std::size_t> max_mapping_count() noexcept;

/// What the process may use of `resource` (RLIMIT_AS, ...); nothing if that is not limited.
std::optional<std::size_t> resource_limit(int resource) noexcept;

} // namespace greenback::detail::os
