// SPDX-License-Identifier: MIT
// Reads the tables of call frame information: numbers, blocks.
#pragma once

#include <cstdint>
#include <cstring>

namespace greenback::detail {

/// Reads along a table, and never past its end: what stands there is read as 0, and `ok` is false from then on.
/// A dump may be made because memory was overwritten.
class table_reader {
public:
    table_reader(void const* at, void const* end) noexcept
        : at_(static_cast<std::uint8_t const*>(at)), end_(static_cast<std::uint8_t const*>(end)) {}

    std::uint8_t const* at() const noexcept { return at_; }
    bool at_end() const noexcept { return at_ == end_; }
    bool ok() const noexcept { return ok_; }
    void skip(std::uint64_t bytes) noexcept {
        if (has(bytes))
            at_ += bytes;
    }

    template <class T> T fixed() noexcept {
        T value{};
        if (has(sizeof value)) {
            std::memcpy(&value, at_, sizeof value);
            at_ += sizeof value;
        }
        return value;
    }
    std::uint8_t byte() noexcept { return fixed<std::uint8_t>(); }
    /// Ends with a 0.
    char const* text() noexcept {
        char const* const begin = reinterpret_cast<char const*>(at_);
        while (byte() != 0) {
        }
        return ok_ ? begin : "";
    }
    std::uint64_t uleb() noexcept {
        unsigned shift = 0;
        std::uint8_t last = 0;
        return leb(shift, last);
    }
    std::int64_t sleb() noexcept {
        unsigned shift = 0;
        std::uint8_t last = 0;
        std::uint64_t value = leb(shift, last);
        if (shift < 64 && (last & 0x40) != 0)
            value |= ~std::uint64_t(0) << shift;
        return static_cast<std::int64_t>(value);
    }

private:
    bool has(std::uint64_t bytes) noexcept {
        if (static_cast<std::uint64_t>(end_ - at_) >= bytes)
            return true;
        at_ = end_;
        ok_ = false;
        return false;
    }
    std::uint64_t leb(unsigned& shift, std::uint8_t& last) noexcept {
        std::uint64_t value = 0;
        do {
            last = byte();
            if (shift < 64) {
                value |= std::uint64_t(last & 0x7f) << shift;
                shift += 7;
            }
        } while ((last & 0x80) != 0);
        return value;
    }

    std::uint8_t const* at_;
    std::uint8_t const* end_;
    bool ok_ = true;
};

/// A block: an expression, or instructions.
struct block {
    std::uint8_t const* begin = nullptr;
    std::uint8_t const* end = nullptr;
};
inline block take_block(table_reader& from) noexcept {
    std::uint64_t const length = from.uleb();
    std::uint8_t const* const begin = from.at();
    from.skip(length);
    return {begin, from.at()};
}

} // namespace greenback::detail
