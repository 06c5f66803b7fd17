// SPDX-License-Identifier: MIT
// Expressions in call frame information: those of functions with a realigned stack, of procedure linkage tables, and of
// the fiber's entry.
#pragma once

#include "call_frame_info.hpp"
#include "table_reader.hpp"

#if defined(GREENBACK_CONTEXT_KNOWN)

namespace greenback::detail {

/// @param first what it begins with; null: nothing
/// @returns false where it has something that is not known, or reads what can't be read
bool evaluate(block expression, frame_registers const& frame, readable_stack& stack, std::uintptr_t const* first,
              std::uintptr_t& result) noexcept;

} // namespace greenback::detail

#endif
