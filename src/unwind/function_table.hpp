// SPDX-License-Identifier: MIT
// What call frame information there is of a function: its instructions, which call_frame_rules.hpp follows.
#pragma once

#include "table_reader.hpp"

#include <cstdint>

namespace greenback::detail {

struct function_table {
    std::uintptr_t begin = 0;
    block common; ///< instructions that hold at its first one, for this and other functions
    block own;
    std::uint64_t code_alignment = 1;
    std::int64_t data_alignment = 1;
    std::uint64_t return_register = 0;
};

/// The table of the function that `pc` is in. @returns whether there is one, in a form that is known
bool find_function(std::uintptr_t pc, function_table& function) noexcept;

/// The beginning of that function; null if there is no table.
void const* function_at(std::uintptr_t pc) noexcept;

} // namespace greenback::detail
