// SPDX-License-Identifier: MIT

#include "call_frame_info.hpp"

#if defined(GREENBACK_CONTEXT_KNOWN)

#include "frame_expression.hpp"
#include "frame_rules.hpp"
#include "function_table.hpp"

#include <cstddef>
#include <cstdint>

namespace greenback::detail {
namespace {

constexpr std::size_t register_count = saved_context::register_count;

bool apply(rule const& r, std::uintptr_t cfa, frame_registers const& frame, readable_stack& stack,
           std::uintptr_t& value) noexcept {
    using how = rule::how;
    std::uintptr_t at = cfa + static_cast<std::uintptr_t>(r.number);
    switch (r.is_found) {
    case how::same:
    case how::undefined: return true; // what is there is of no use then, and nobody asks for it
    case how::at_offset: return stack.load(at, value);
    case how::is_offset: value = at; return true;
    case how::in_register:
        if (static_cast<std::uint64_t>(r.number) >= register_count)
            return false;
        value = frame.value[static_cast<std::size_t>(r.number)];
        return true;
    case how::at_expression: return evaluate(r.expression, frame, stack, &cfa, at) && stack.load(at, value);
    case how::is_expression: return evaluate(r.expression, frame, stack, &cfa, value);
    }
    return false;
}

/// Without the signature that the processor may have put into it.
std::uintptr_t plain_address(std::uintptr_t address, [[maybe_unused]] bool is_signed) noexcept {
#if defined(GREENBACK_CONTEXT_AARCH64)
    if (is_signed) {
        register std::uintptr_t x30 asm("x30") = address; // NOLINT: the instruction works on this one
        asm("hint #7" : "+r"(x30));                       // xpaclri; nothing, on a processor without signatures
        return x30;
    }
#endif
    return address;
}

/// In the function: the return address may be the first of the next one, if it is not to return.
std::uintptr_t looked_up(frame_registers const& frame) noexcept {
    return frame.is_return_address ? frame.pc - 1 : frame.pc;
}

} // namespace

bool go_to_caller(frame_registers& frame, readable_stack& stack) noexcept {
    function_table function;
    return find_function(looked_up(frame), function) && go_to_caller(function, frame, stack);
}

bool go_to_caller(function_table const& function, frame_registers& frame, readable_stack& stack) noexcept {
    frame_rules rules;
    if (function.return_register >= register_count || !find_rules(function, looked_up(frame), rules))
        return false;

    std::uintptr_t cfa = 0;
    if (rules.cfa_expression.begin) {
        if (!evaluate(rules.cfa_expression, frame, stack, nullptr, cfa))
            return false;
    } else if (rules.cfa_register < register_count)
        cfa = frame.value[rules.cfa_register] + static_cast<std::uintptr_t>(rules.cfa_offset);
    else
        return false;

    frame_registers caller = frame;
    for (std::size_t i = 0; i != register_count; ++i)
        if (!apply(rules.of[i], cfa, frame, stack, caller.value[i]))
            return false;
    if (rules.of[saved_context::stack_pointer].is_found == rule::how::same)
        caller.value[saved_context::stack_pointer] = cfa;

    bool const known = rules.of[function.return_register].is_found != rule::how::undefined;
    caller.pc = plain_address(caller.value[function.return_register], rules.return_address_is_signed);
    caller.is_return_address = true;
    std::uintptr_t const sp = frame.value[saved_context::stack_pointer];
    std::uintptr_t const caller_sp = caller.value[saved_context::stack_pointer];
    // A frame that takes no stack can't be the caller of another such frame.
    if (!known || caller.pc == 0 || caller_sp < sp || (caller_sp == sp && frame.is_return_address))
        return false;
    frame = caller;
    return true;
}

} // namespace greenback::detail

#endif
