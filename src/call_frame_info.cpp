// SPDX-License-Identifier: MIT

#include "call_frame_info.hpp"

#if defined(GREENBACK_CONTEXT_X86_64) || defined(GREENBACK_CONTEXT_AARCH64)

#include <cstring>
#include <type_traits>

// The runtime library's own search for the table of a function, which LLVM's libunwind has as well. Declared here, as no
// header does so for all of them.
namespace {
struct found_function {
    void* text_base;
    void* data_base;
    void* begin;
};
} // namespace
extern "C" void const* _Unwind_Find_FDE(void* pc, found_function* found); // NOLINT(bugprone-reserved-identifier)

namespace greenback::detail {
namespace {

constexpr std::uint64_t register_count = saved_context::register_count;

/// Reads along a table. These are in the program's own memory, and are trusted.
class table_reader {
public:
    explicit table_reader(void const* at) noexcept : at_(static_cast<std::uint8_t const*>(at)) {}

    std::uint8_t const* at() const noexcept { return at_; }
    void skip(std::uint64_t bytes) noexcept { at_ += bytes; }

    template <class T> T fixed() noexcept {
        T value;
        std::memcpy(&value, at_, sizeof value);
        at_ += sizeof value;
        return value;
    }
    std::uint8_t byte() noexcept { return *at_++; }
    char const* text() noexcept {
        char const* const begin = reinterpret_cast<char const*>(at_);
        at_ += std::strlen(begin) + 1;
        return begin;
    }
    std::uint64_t uleb() noexcept {
        unsigned shift = 0;
        return leb(shift);
    }
    std::int64_t sleb() noexcept {
        unsigned shift = 0;
        std::uint64_t value = leb(shift);
        if (shift < 64 && (at_[-1] & 0x40) != 0)
            value |= ~std::uint64_t(0) << shift;
        return static_cast<std::int64_t>(value);
    }

private:
    std::uint64_t leb(unsigned& shift) noexcept {
        std::uint64_t value = 0;
        for (std::uint8_t b = 0x80; (b & 0x80) != 0; shift += 7) {
            b = *at_++;
            if (shift < 64)
                value |= std::uint64_t(b & 0x7f) << shift;
        }
        return value;
    }

    std::uint8_t const* at_;
};

/// A block: an expression, or instructions.
struct block {
    std::uint8_t const* begin = nullptr;
    std::uint8_t const* end = nullptr;
};
block take_block(table_reader& from) noexcept {
    std::uint64_t const length = from.uleb();
    block const taken{from.at(), from.at() + length};
    from.skip(length);
    return taken;
}

// ---- what is known of a function -----------------------------------------------------------------------------------

struct function_table {
    std::uintptr_t begin = 0;
    block common; ///< instructions that hold at its first one, for this and other functions
    block own;
    std::uint64_t code_alignment = 1;
    std::int64_t data_alignment = 1;
    std::uint64_t return_register = 0;
};

/// Bytes of a pointer in this encoding (LSB, "DWARF Exception Header Encoding"); 0 where that is not fixed.
std::size_t encoded_size(std::uint8_t encoding) noexcept {
    if (encoding == 0xff)
        return 0;
    switch (encoding & 0x07) {
    case 0x00:
        return encoding == 0x50 ? 0 : sizeof(void*); // 0x50: aligned
    case 0x02:
        return 2;
    case 0x03:
        return 4;
    case 0x04:
        return 8;
    default:
        return 0;
    }
}

bool read_common(void const* at, function_table& function, std::uint8_t& encoding, bool& augmented) noexcept {
    table_reader r(at);
    auto const length = r.fixed<std::uint32_t>();
    if (length == 0xffffffff)
        return false; // the 64-bit form, which nobody writes
    function.common.end = r.at() + length;
    r.skip(sizeof(std::uint32_t)); // 0: this is a common one
    std::uint8_t const version = r.byte();
    char const* augmentation = r.text();
    function.code_alignment = r.uleb();
    function.data_alignment = r.sleb();
    function.return_register = version == 1 ? r.byte() : r.uleb();
    encoding = 0;
    augmented = *augmentation == 'z';
    if (augmented) {
        block const data = take_block(r);
        table_reader d(data.begin);
        while (*++augmentation != '\0') {
            if (*augmentation == 'R')
                encoding = d.byte();
            else if (*augmentation == 'L')
                d.byte();
            else if (*augmentation == 'P')
                d.skip(encoded_size(d.byte()));
            else if (*augmentation != 'B')
                return false; // 'S', a signal's frame, among others: a suspended fiber has none
        }
    } else if (*augmentation != '\0')
        return false;
    function.common.begin = r.at();
    return true;
}

bool find_function(std::uintptr_t pc, function_table& function) noexcept {
    found_function found{};
    void const* const table = _Unwind_Find_FDE(reinterpret_cast<void*>(pc), &found);
    if (!table)
        return false;
    function.begin = reinterpret_cast<std::uintptr_t>(found.begin);
    table_reader r(table);
    auto const length = r.fixed<std::uint32_t>();
    if (length == 0xffffffff)
        return false;
    function.own.end = r.at() + length;
    std::uint8_t const* const common = r.at() - table_reader(r.at()).fixed<std::int32_t>();
    r.skip(sizeof(std::int32_t));
    std::uint8_t encoding = 0;
    bool augmented = false;
    if (!read_common(common, function, encoding, augmented))
        return false;
    std::size_t const size = encoded_size(encoding);
    if (size == 0)
        return false;
    r.skip(2 * size); // its beginning and its length
    if (augmented)
        take_block(r);
    function.own.begin = r.at();
    return true;
}

// ---- how its caller's registers are found ---------------------------------------------------------------------------

struct rule {
    enum class kind : std::uint8_t { same, undefined, at_offset, is_offset, in_register, at_expression, is_expression };
    kind how = kind::same;
    std::int64_t number = 0; ///< an offset from the CFA, or a register
    block expression;
};

struct rules {
    std::array<rule, saved_context::register_count> of;
    std::uint64_t cfa_register = 0;
    std::int64_t cfa_offset = 0;
    block cfa_expression; ///< if it has one, that counts
    bool return_address_is_signed = false;

    void set(std::uint64_t number, rule const& r) noexcept {
        if (number < register_count)
            of[number] = r;
    }
};

/// Follows the instructions of a block up to the row of `pc`.
class rule_machine {
public:
    rule_machine(function_table const& function, std::uintptr_t pc) noexcept : function_(function), pc_(pc) {}

    bool run(rules& result) noexcept {
        std::uintptr_t unlimited = function_.begin;
        if (!run(function_.common, unlimited, ~std::uintptr_t(0)))
            return false;
        first_ = now_;
        std::uintptr_t location = function_.begin;
        if (!run(function_.own, location, pc_))
            return false;
        result = now_;
        return true;
    }

private:
    bool run(block code, std::uintptr_t& location, std::uintptr_t last) noexcept {
        table_reader r(code.begin);
        while (r.at() < code.end && location <= last)
            if (!step(r, location))
                return false;
        return true;
    }

    std::int64_t factored(std::uint64_t n) const noexcept {
        return static_cast<std::int64_t>(n) * function_.data_alignment;
    }

    bool step(table_reader& r, std::uintptr_t& location) noexcept {
        using kind = rule::kind;
        std::uint8_t const code = r.byte();
        std::uint8_t const operand = code & 0x3f;
        switch (code >> 6) {
        case 1:
            location += operand * function_.code_alignment;
            return true; // advance_loc
        case 2:
            now_.set(operand, {kind::at_offset, factored(r.uleb()), {}});
            return true; // offset
        case 3:
            restore(operand);
            return true; // restore
        default:
            break;
        }
        std::uint64_t number = 0;
        switch (code) {
        case 0x00:
            return true; // nop
        case 0x02:
            location += r.fixed<std::uint8_t>() * function_.code_alignment;
            return true; // advance_loc1
        case 0x03:
            location += r.fixed<std::uint16_t>() * function_.code_alignment;
            return true; // advance_loc2
        case 0x04:
            location += r.fixed<std::uint32_t>() * function_.code_alignment;
            return true; // advance_loc4
        case 0x05:       // offset_extended
            number = r.uleb();
            now_.set(number, {kind::at_offset, factored(r.uleb()), {}});
            return true;
        case 0x06:
            restore(r.uleb());
            return true; // restore_extended
        case 0x07:
            now_.set(r.uleb(), {kind::undefined, 0, {}});
            return true; // undefined
        case 0x08:
            now_.set(r.uleb(), {kind::same, 0, {}});
            return true; // same_value
        case 0x09:       // register
            number = r.uleb();
            now_.set(number, {kind::in_register, static_cast<std::int64_t>(r.uleb()), {}});
            return true;
        case 0x0a: // remember_state
            if (depth_ == remembered_.size())
                return false;
            remembered_[depth_++] = now_;
            return true;
        case 0x0b: // restore_state
            if (depth_ == 0)
                return false;
            now_ = remembered_[--depth_];
            return true;
        case 0x0c: // def_cfa
            number = r.uleb();
            return cfa(number, static_cast<std::int64_t>(r.uleb()));
        case 0x0d:
            return cfa(r.uleb(), now_.cfa_offset); // def_cfa_register
        case 0x0e:
            return cfa(now_.cfa_register, static_cast<std::int64_t>(r.uleb())); // def_cfa_offset
        case 0x0f:
            now_.cfa_expression = take_block(r);
            return true; // def_cfa_expression
        case 0x10:       // expression
            number = r.uleb();
            now_.set(number, {kind::at_expression, 0, take_block(r)});
            return true;
        case 0x11: // offset_extended_sf
            number = r.uleb();
            now_.set(number, {kind::at_offset, r.sleb() * function_.data_alignment, {}});
            return true;
        case 0x12: // def_cfa_sf
            number = r.uleb();
            return cfa(number, r.sleb() * function_.data_alignment);
        case 0x13:
            return cfa(now_.cfa_register, r.sleb() * function_.data_alignment); // def_cfa_offset_sf
        case 0x14:                                                              // val_offset
            number = r.uleb();
            now_.set(number, {kind::is_offset, factored(r.uleb()), {}});
            return true;
        case 0x15: // val_offset_sf
            number = r.uleb();
            now_.set(number, {kind::is_offset, r.sleb() * function_.data_alignment, {}});
            return true;
        case 0x16: // val_expression
            number = r.uleb();
            now_.set(number, {kind::is_expression, 0, take_block(r)});
            return true;
#if defined(GREENBACK_CONTEXT_AARCH64)
        case 0x2d: // negate_ra_state
            now_.return_address_is_signed = !now_.return_address_is_signed;
            return true;
#endif
        case 0x2e:
            r.uleb();
            return true; // GNU_args_size
        default:
            return false;
        }
    }

    void restore(std::uint64_t number) noexcept {
        if (number < register_count)
            now_.of[number] = first_.of[number];
    }
    bool cfa(std::uint64_t number, std::int64_t offset) noexcept {
        now_.cfa_register = number;
        now_.cfa_offset = offset;
        now_.cfa_expression = {};
        return true;
    }

    function_table const& function_;
    std::uintptr_t const pc_;
    rules now_;
    rules first_;
    std::array<rules, 4> remembered_;
    std::size_t depth_ = 0;
};

// ---- expressions ---------------------------------------------------------------------------------------------------

class expression_machine {
public:
    expression_machine(frame_registers const& frame, readable_stack& stack) noexcept : frame_(frame), stack_(stack) {}

    bool evaluate(block code, std::uintptr_t const* first, std::uintptr_t& result) noexcept {
        depth_ = 0;
        if (first)
            push(*first);
        table_reader r(code.begin);
        while (r.at() < code.end)
            if (!step(r))
                return false;
        return pop(result);
    }

private:
    bool push(std::uintptr_t value) noexcept {
        if (depth_ == values_.size())
            return false;
        values_[depth_++] = value;
        return true;
    }
    bool pop(std::uintptr_t& value) noexcept {
        if (depth_ == 0)
            return false;
        value = values_[--depth_];
        return true;
    }
    template <class T> bool push_constant(table_reader& r) noexcept {
        return push(static_cast<std::uintptr_t>(static_cast<std::intptr_t>(r.fixed<T>())));
    }

    bool step(table_reader& r) noexcept {
        std::uint8_t const code = r.byte();
        std::uintptr_t a = 0, b = 0;
        if (code >= 0x30 && code <= 0x4f) // lit0 …
            return push(code - std::uintptr_t(0x30));
        if (code >= 0x70 && code <= 0x8f) { // breg0 …
            auto const offset = static_cast<std::uintptr_t>(r.sleb());
            std::size_t const number = code - std::size_t(0x70);
            return number < register_count && push(frame_.value[number] + offset);
        }
        switch (code) {
        case 0x06:
            return pop(a) && stack_.load(a, b) && push(b); // deref
        case 0x08:
            return push_constant<std::uint8_t>(r); // const1u …
        case 0x09:
            return push_constant<std::int8_t>(r);
        case 0x0a:
            return push_constant<std::uint16_t>(r);
        case 0x0b:
            return push_constant<std::int16_t>(r);
        case 0x0c:
            return push_constant<std::uint32_t>(r);
        case 0x0d:
            return push_constant<std::int32_t>(r);
        case 0x0e:
            return push_constant<std::uint64_t>(r);
        case 0x0f:
            return push_constant<std::int64_t>(r);
        case 0x10:
            return push(r.uleb()); // constu
        case 0x11:
            return push(static_cast<std::uintptr_t>(r.sleb())); // consts
        case 0x12:
            return pop(a) && push(a) && push(a); // dup
        case 0x13:
            return pop(a); // drop
        case 0x23:
            return pop(a) && push(a + r.uleb()); // plus_uconst
        default:
            return pop(b) && pop(a) && calculate(code, a, b, a) && push(a);
        }
    }

    static bool calculate(std::uint8_t code, std::uintptr_t a, std::uintptr_t b, std::uintptr_t& result) noexcept {
        switch (code) {
        case 0x1a:
            result = a & b;
            return true;
        case 0x1c:
            result = a - b;
            return true;
        case 0x1e:
            result = a * b;
            return true;
        case 0x21:
            result = a | b;
            return true;
        case 0x22:
            result = a + b;
            return true;
        case 0x24:
            result = b < 64 ? a << b : 0;
            return true;
        case 0x25:
            result = b < 64 ? a >> b : 0;
            return true;
        case 0x27:
            result = a ^ b;
            return true;
        case 0x29:
            result = a == b;
            return true;
        case 0x2a:
            result = static_cast<std::intptr_t>(a) >= static_cast<std::intptr_t>(b);
            return true;
        case 0x2b:
            result = static_cast<std::intptr_t>(a) > static_cast<std::intptr_t>(b);
            return true;
        case 0x2c:
            result = static_cast<std::intptr_t>(a) <= static_cast<std::intptr_t>(b);
            return true;
        case 0x2d:
            result = static_cast<std::intptr_t>(a) < static_cast<std::intptr_t>(b);
            return true;
        case 0x2e:
            result = a != b;
            return true;
        default:
            return false;
        }
    }

    frame_registers const& frame_;
    readable_stack& stack_;
    std::array<std::uintptr_t, 16> values_{};
    std::size_t depth_ = 0;
};

// ---- the step --------------------------------------------------------------------------------------------------------

bool apply(rule const& r, std::uintptr_t cfa, frame_registers const& frame, readable_stack& stack,
           std::uintptr_t& value) noexcept {
    using kind = rule::kind;
    expression_machine machine(frame, stack);
    std::uintptr_t at = 0;
    switch (r.how) {
    case kind::same:
        return true;
    case kind::undefined:
        return true; // what is there is of no use, and nobody asks for it
    case kind::at_offset:
        return stack.load(cfa + static_cast<std::uintptr_t>(r.number), value);
    case kind::is_offset:
        value = cfa + static_cast<std::uintptr_t>(r.number);
        return true;
    case kind::in_register:
        if (static_cast<std::uint64_t>(r.number) >= register_count)
            return false;
        value = frame.value[static_cast<std::size_t>(r.number)];
        return true;
    case kind::at_expression:
        return machine.evaluate(r.expression, &cfa, at) && stack.load(at, value);
    case kind::is_expression:
        return machine.evaluate(r.expression, &cfa, value);
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

void const* function_at(std::uintptr_t pc) noexcept {
    found_function found{};
    return _Unwind_Find_FDE(reinterpret_cast<void*>(pc), &found) ? found.begin : nullptr;
}

bool go_to_caller(frame_registers& frame, readable_stack& stack) noexcept {
    function_table function;
    rules row;
    if (!find_function(looked_up(frame), function) || function.return_register >= register_count ||
        !rule_machine(function, looked_up(frame)).run(row))
        return false;

    std::uintptr_t cfa = 0;
    if (row.cfa_expression.begin) {
        if (!expression_machine(frame, stack).evaluate(row.cfa_expression, nullptr, cfa))
            return false;
    } else if (row.cfa_register < register_count)
        cfa = frame.value[row.cfa_register] + static_cast<std::uintptr_t>(row.cfa_offset);
    else
        return false;

    frame_registers caller = frame;
    for (std::size_t i = 0; i != register_count; ++i)
        if (!apply(row.of[i], cfa, frame, stack, caller.value[i]))
            return false;
    if (row.of[saved_context::stack_pointer].how == rule::kind::same)
        caller.value[saved_context::stack_pointer] = cfa;

    bool const known = row.of[function.return_register].how != rule::kind::undefined;
    caller.pc = plain_address(caller.value[function.return_register], row.return_address_is_signed);
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
