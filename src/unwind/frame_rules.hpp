// SPDX-License-Identifier: MIT
// How a caller's registers are found: what the instructions of a function's table come to at one place in it.
#pragma once

#include "../saved_context.hpp"
#include "function_table.hpp"

#if defined(GREENBACK_CONTEXT_KNOWN)

#include <array>
#include <cstdint>

namespace greenback::detail {

/// How one register's value is found.
struct rule {
    enum class how : std::uint8_t { same, undefined, at_offset, is_offset, in_register, at_expression, is_expression };
    how is_found = how::same;
    std::int64_t number = 0; ///< an offset from the CFA, or a register
    block expression;
};

struct frame_rules {
    std::array<rule, saved_context::register_count> of;
    // The canonical frame address (CFA), from which the others are reckoned.
    std::uint64_t cfa_register = 0;
    std::int64_t cfa_offset = 0;
    block cfa_expression; ///< if it has one, that counts
    bool return_address_is_signed = false;
};

/// The rules that hold at `pc`. @returns false where there is an instruction that is not known
bool find_rules(function_table const& function, std::uintptr_t pc, frame_rules& result) noexcept;

} // namespace greenback::detail

#endif
