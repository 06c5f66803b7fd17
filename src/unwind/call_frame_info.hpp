// SPDX-License-Identifier: MIT
// From a frame to its caller, by the tables that compilers write for exceptions (.eh_frame): a small interpreter, which
// unlike the unwinder of the runtime library asks for each word of the stack before it reads it. So it can look at a
// stack that is not its own and may change meanwhile.
//
// The format is that of the Linux Standard Base (Core, "Exception Frames") and of DWARF 5, 6.4 and 2.5; the names of
// instructions are DWARF's. It knows what compilers and linkers write for functions, realigned stacks and procedure
// linkage tables; of what it doesn't know, it says that it knows no caller.
#pragma once

#include "../saved_context.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace greenback::detail {

/// The words of a stack.
class readable_stack {
public:
    /// @returns whether there is such a word
    virtual bool load(std::uintptr_t at, std::uintptr_t& value) noexcept = 0;

protected:
    ~readable_stack() = default;
};

#if defined(GREENBACK_CONTEXT_KNOWN)

/// What is known of the registers in a frame, by their numbers in DWARF.
struct frame_registers {
    std::array<std::uintptr_t, saved_context::register_count> value{};
    std::uintptr_t pc = 0;
    bool is_return_address = false; ///< `pc` is where a call returns to, in the function that made it or just after it
};

/// Goes to the caller of the frame. @returns false where none is known, with `frame` as it was
bool go_to_caller(frame_registers& frame, readable_stack& stack) noexcept;

struct function_table;
/// The same, by the table of the function.
bool go_to_caller(function_table const& function, frame_registers& frame, readable_stack& stack) noexcept;

#endif

} // namespace greenback::detail
