// SPDX-License-Identifier: MIT

#include "frame_expression.hpp"

#if defined(GREENBACK_CONTEXT_KNOWN)

#include <array>
#include <cstddef>
#include <cstdint>

namespace greenback::detail {
namespace {

/// By their names in DWARF. `lit0` and `breg0` are the first of 32.
enum operation : std::uint8_t {
    deref = 0x06,
    const1u = 0x08,
    const1s = 0x09,
    const2u = 0x0a,
    const2s = 0x0b,
    const4u = 0x0c,
    const4s = 0x0d,
    const8u = 0x0e,
    const8s = 0x0f,
    constu = 0x10,
    consts = 0x11,
    dup = 0x12,
    drop = 0x13,
    bit_and = 0x1a,
    minus = 0x1c,
    mul = 0x1e,
    bit_or = 0x21,
    plus = 0x22,
    plus_uconst = 0x23,
    shl = 0x24,
    eq = 0x29,
    ge = 0x2a,
    gt = 0x2b,
    le = 0x2c,
    lt = 0x2d,
    ne = 0x2e,
    lit0 = 0x30,
    breg0 = 0x70,
};

class expression_machine {
public:
    expression_machine(frame_registers const& frame, readable_stack& stack) noexcept : frame_(frame), stack_(stack) {}

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
    bool run(block code) noexcept {
        table_reader r(code.begin, code.end);
        while (!r.at_end())
            if (!step(r) || !r.ok())
                return false;
        return true;
    }

private:
    template <class T> bool push_constant(table_reader& r) noexcept {
        return push(static_cast<std::uintptr_t>(static_cast<std::intptr_t>(r.fixed<T>())));
    }
    bool push_register(std::size_t number, std::int64_t offset) noexcept {
        return number < frame_.value.size() && push(frame_.value[number] + static_cast<std::uintptr_t>(offset));
    }

    bool step(table_reader& r) noexcept {
        std::uint8_t const what = r.byte();
        std::uintptr_t a = 0, b = 0;
        if (what >= lit0 && what < lit0 + 32)
            return push(std::uintptr_t(what) - lit0);
        if (what >= breg0 && what < breg0 + 32)
            return push_register(std::size_t(what) - breg0, r.sleb());
        switch (what) {
        case deref: return pop(a) && stack_.load(a, b) && push(b);
        case const1u: return push_constant<std::uint8_t>(r);
        case const1s: return push_constant<std::int8_t>(r);
        case const2u: return push_constant<std::uint16_t>(r);
        case const2s: return push_constant<std::int16_t>(r);
        case const4u: return push_constant<std::uint32_t>(r);
        case const4s: return push_constant<std::int32_t>(r);
        case const8u: return push_constant<std::uint64_t>(r);
        case const8s: return push_constant<std::int64_t>(r);
        case constu: return push(r.uleb());
        case consts: return push(static_cast<std::uintptr_t>(r.sleb()));
        case dup: return pop(a) && push(a) && push(a);
        case drop: return pop(a);
        case plus_uconst: return pop(a) && push(a + r.uleb());
        default: return pop(b) && pop(a) && calculate(what, a, b);
        }
    }

    bool calculate(std::uint8_t what, std::uintptr_t a, std::uintptr_t b) noexcept {
        auto const signed_a = static_cast<std::intptr_t>(a), signed_b = static_cast<std::intptr_t>(b);
        switch (what) {
        case bit_and: return push(a & b);
        case bit_or: return push(a | b);
        case minus: return push(a - b);
        case plus: return push(a + b);
        case mul: return push(a * b);
        case shl: return push(b < 64 ? a << b : 0);
        case eq: return push(a == b);
        case ne: return push(a != b);
        case ge: return push(signed_a >= signed_b);
        case gt: return push(signed_a > signed_b);
        case le: return push(signed_a <= signed_b);
        case lt: return push(signed_a < signed_b);
        default: return false;
        }
    }

    frame_registers const& frame_;
    readable_stack& stack_;
    std::array<std::uintptr_t, 16> values_{};
    std::size_t depth_ = 0;
};

} // namespace

bool evaluate(block expression, frame_registers const& frame, readable_stack& stack, std::uintptr_t const* first,
              std::uintptr_t& result) noexcept {
    expression_machine machine(frame, stack);
    return (!first || machine.push(*first)) && machine.run(expression) && machine.pop(result);
}

} // namespace greenback::detail

#endif
