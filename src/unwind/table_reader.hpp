// SPDX-License-Identifier: MIT
// Reads the tables of call frame information: numbers, blocks.
#pragma once

#include <cstdint>
#include <cstring>

namespace greenback::detail {

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
inline block take_block(table_reader& from) noexcept {
    std::uint64_t const length = from.uleb();
    block const taken{from.at(), from.at() + length};
    from.skip(length);
    return taken;
}

} // namespace greenback::detail
