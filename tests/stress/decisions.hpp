// SPDX-License-Identifier: MIT
//
// Where the generator of programs has its decisions from: a random engine, or somebody's bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>

namespace stress {

class random_decisions {
public:
    explicit random_decisions(unsigned seed) : random_(seed) {}

    unsigned below(unsigned n) { return static_cast<unsigned>(random_() % n); }
    unsigned bits() { return static_cast<unsigned>(random_()); }
    bool at_end() const { return false; }

private:
    std::mt19937 random_;
};

/// Zeros, when there are no more bytes: every sequence of bytes is a program, and a change of one byte a small change.
class byte_decisions {
public:
    explicit byte_decisions(std::span<std::uint8_t const> bytes) : bytes_(bytes) {}

    /// @pre n is 256 or less
    unsigned below(unsigned n) { return next() % n; }
    /// The lower 24 bits, which are those that a node looks at.
    unsigned bits() {
        unsigned const low = next(), middle = next();
        return low | middle << 8 | next() << 16;
    }
    bool at_end() const { return at_ == bytes_.size(); }

private:
    unsigned next() { return at_end() ? 0 : bytes_[at_++]; }

    std::span<std::uint8_t const> bytes_;
    std::size_t at_ = 0;
};

} // namespace stress
