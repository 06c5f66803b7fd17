// SPDX-License-Identifier: MIT

#include "function_table.hpp"

#include "../saved_context.hpp"

#if defined(GREENBACK_CONTEXT_KNOWN)

#include <cstddef>
#include <cstdint>
#include <cstring>

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

/// Bytes of a pointer in this encoding (LSB, "DWARF Exception Header Encoding"); 0 where that is not fixed.
std::size_t encoded_size(std::uint8_t encoding) noexcept {
    if (encoding == 0xff)
        return 0;
    switch (encoding & 0x07) {
    case 0x00: return encoding == 0x50 ? 0 : sizeof(void*); // 0x50: aligned
    case 0x02: return 2;
    case 0x03: return 4;
    case 0x04: return 8;
    default: return 0;
    }
}

/// What follows the length that a table begins with. The runtime library has found the table, so its length is trusted.
/// @returns false for the 64-bit form, which nobody writes
bool read_length(void const* at, block& content) noexcept {
    std::uint32_t length = 0;
    std::memcpy(&length, at, sizeof length);
    content.begin = static_cast<std::uint8_t const*>(at) + sizeof length;
    content.end = content.begin + length;
    return length != 0xffffffff;
}

bool read_common(void const* at, function_table& function, std::uint8_t& encoding, bool& augmented) noexcept {
    if (!read_length(at, function.common))
        return false;
    table_reader r(function.common.begin, function.common.end);
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
        table_reader d(data.begin, data.end);
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
        if (!d.ok())
            return false;
    } else if (*augmentation != '\0')
        return false;
    function.common.begin = r.at();
    return r.ok();
}

} // namespace

bool find_function(std::uintptr_t pc, function_table& function) noexcept {
    found_function found{};
    void const* const table = _Unwind_Find_FDE(reinterpret_cast<void*>(pc), &found);
    if (!table)
        return false;
    function.begin = reinterpret_cast<std::uintptr_t>(found.begin);
    if (!read_length(table, function.own))
        return false;
    table_reader r(function.own.begin, function.own.end);
    std::uint8_t const* const common = function.own.begin - r.fixed<std::int32_t>();
    if (!r.ok())
        return false;
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
    return r.ok();
}

void const* function_at(std::uintptr_t pc) noexcept {
    found_function found{};
    return _Unwind_Find_FDE(reinterpret_cast<void*>(pc), &found) ? found.begin : nullptr;
}

} // namespace greenback::detail

#endif
