// SPDX-License-Identifier: MIT
// The labels of portals, and how a fiber carries one for nothing.
//
// A portal's label must be gone when its function is, and nothing on the way of making or ending a portal is to know of
// labels. So it stands in the place of `fiber::argument`, which nobody reads once the job has begun, and which the next
// job overwrites. What stands there is never the text but the place in a table where that is kept for good: so whoever
// looks, at whatever moment, can tell a label from an argument.
#pragma once

#include <greenback/detail/fiber/fiber.hpp>

#include <array>
#include <atomic>
#include <cstddef>

namespace greenback::detail {

struct label {
    char const* text;
};

/// A part of the table; never freed.
struct label_table {
    static constexpr std::size_t capacity = 62;

    label_table* older = nullptr;       ///< constant
    std::atomic<std::size_t> count{0};  ///< only grows, with the lock held, after the new label is in place
    std::array<label, capacity> labels; ///< constant as far as `count` says
};

/// The newest part, where gdb begins too. Written with the lock held.
extern constinit std::atomic<label_table*> newest_labels;

/// The one with this text, whose address is to stand in `fiber::argument`; null: no memory.
label* intern_label(char const* literal) noexcept;

/// The label, if `argument` stands for one; else null.
char const* label_of(void const* argument) noexcept;

} // namespace greenback::detail
