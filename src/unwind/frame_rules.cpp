// SPDX-License-Identifier: MIT

#include "frame_rules.hpp"

#if defined(GREENBACK_CONTEXT_KNOWN)

#include <array>
#include <cstddef>
#include <cstdint>

namespace greenback::detail {
namespace {

/// By their names in DWARF. The first three have an operand in their lower six bits.
enum code : std::uint8_t {
    advance_loc = 0x40,
    offset = 0x80,
    restore = 0xc0,
    nop = 0x00,
    advance_loc1 = 0x02,
    advance_loc2 = 0x03,
    advance_loc4 = 0x04,
    offset_extended = 0x05,
    restore_extended = 0x06,
    undefined = 0x07,
    same_value = 0x08,
    in_register = 0x09,
    remember_state = 0x0a,
    restore_state = 0x0b,
    def_cfa = 0x0c,
    def_cfa_register = 0x0d,
    def_cfa_offset = 0x0e,
    def_cfa_expression = 0x0f,
    expression = 0x10,
    offset_extended_sf = 0x11,
    def_cfa_sf = 0x12,
    def_cfa_offset_sf = 0x13,
    val_offset = 0x14,
    val_offset_sf = 0x15,
    val_expression = 0x16,
    aarch64_negate_ra_state = 0x2d,
    gnu_args_size = 0x2e,
};

/// Follows the instructions of a function's table up to the row of `pc`.
class rule_machine {
public:
    rule_machine(function_table const& function, std::uintptr_t pc) noexcept : function_(function), pc_(pc) {}

    bool run(frame_rules& result) noexcept {
        if (!run(function_.common, ~std::uintptr_t(0)))
            return false;
        first_ = now_;
        if (!run(function_.own, pc_))
            return false;
        result = now_;
        return true;
    }

private:
    bool run(block code, std::uintptr_t last) noexcept {
        location_ = function_.begin;
        table_reader r(code.begin, code.end);
        while (!r.at_end() && location_ <= last)
            if (!step(r) || !r.ok())
                return false;
        return true;
    }

    bool step(table_reader& r) noexcept {
        std::uint8_t const first = r.byte(), operand = first & 0x3f;
        switch (first & 0xc0) {
        case advance_loc: return advance(operand);
        case offset: return set(operand, rule::how::at_offset, factored(std::int64_t(r.uleb())));
        case restore: return set(operand, first_);
        default: return extended(first, r);
        }
    }

    bool extended(std::uint8_t what, table_reader& r) noexcept {
        switch (what) { // first those without a register
        case nop: return true;
        case advance_loc1: return advance(r.fixed<std::uint8_t>());
        case advance_loc2: return advance(r.fixed<std::uint16_t>());
        case advance_loc4: return advance(r.fixed<std::uint32_t>());
        case remember_state: return remember();
        case restore_state: return recall();
        case def_cfa_offset: return cfa(now_.cfa_register, std::int64_t(r.uleb()));
        case def_cfa_offset_sf: return cfa(now_.cfa_register, factored(r.sleb()));
        case def_cfa_expression: now_.cfa_expression = take_block(r); return true;
        case gnu_args_size: r.uleb(); return true;
#if defined(GREENBACK_CONTEXT_AARCH64)
        case aarch64_negate_ra_state: now_.return_address_is_signed = !now_.return_address_is_signed; return true;
#endif
        default: break;
        }
        if (what < offset_extended || what > val_expression)
            return false;
        std::uint64_t const number = r.uleb(); // of a register, before any other operand
        using how = rule::how;
        switch (what) {
        case offset_extended: return set(number, how::at_offset, factored(std::int64_t(r.uleb())));
        case offset_extended_sf: return set(number, how::at_offset, factored(r.sleb()));
        case restore_extended: return set(number, first_);
        case undefined: return set(number, how::undefined, 0);
        case same_value: return set(number, how::same, 0);
        case in_register: return set(number, how::in_register, std::int64_t(r.uleb()));
        case def_cfa: return cfa(number, std::int64_t(r.uleb()));
        case def_cfa_sf: return cfa(number, factored(r.sleb()));
        case def_cfa_register: return cfa(number, now_.cfa_offset);
        case val_offset: return set(number, how::is_offset, factored(std::int64_t(r.uleb())));
        case val_offset_sf: return set(number, how::is_offset, factored(r.sleb()));
        case expression: return set(number, how::at_expression, 0, take_block(r));
        case val_expression: return set(number, how::is_expression, 0, take_block(r));
        default: return false;
        }
    }

    std::int64_t factored(std::int64_t n) const noexcept { // numbers that have no meaning may overflow
        return std::int64_t(std::uint64_t(n) * std::uint64_t(function_.data_alignment));
    }

    bool advance(std::uint64_t by) noexcept {
        location_ += by * function_.code_alignment;
        return true;
    }
    // Registers that are not followed are passed over.
    bool set(std::uint64_t number, rule::how how, std::int64_t n, block expression = {}) noexcept {
        if (number < saved_context::register_count)
            now_.of[number] = {how, n, expression};
        return true;
    }
    bool set(std::uint64_t number, frame_rules const& as_in) noexcept {
        if (number < saved_context::register_count)
            now_.of[number] = as_in.of[number];
        return true;
    }
    bool cfa(std::uint64_t number, std::int64_t from_there) noexcept {
        now_.cfa_register = number;
        now_.cfa_offset = from_there;
        now_.cfa_expression = {};
        return true;
    }
    bool remember() noexcept {
        if (depth_ == remembered_.size())
            return false;
        remembered_[depth_++] = now_;
        return true;
    }
    bool recall() noexcept {
        if (depth_ == 0)
            return false;
        now_ = remembered_[--depth_];
        return true;
    }

    function_table const& function_;
    std::uintptr_t const pc_;
    std::uintptr_t location_ = 0;
    frame_rules now_;
    frame_rules first_;                     ///< those of `common`
    std::array<frame_rules, 2> remembered_; ///< compilers remember one
    std::size_t depth_ = 0;
};

} // namespace

bool find_rules(function_table const& function, std::uintptr_t pc, frame_rules& result) noexcept {
    return rule_machine(function, pc).run(result);
}

} // namespace greenback::detail

#endif
