// SPDX-License-Identifier: MIT
//
// Where chance comes from: one sequence for the whole program, made of its seed. Any thread draws the next number of it.
// So the seed decides what is drawn; which task draws it, the machine does.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace soak {

inline std::uint64_t seed = 1; // written once, before there are threads
inline std::atomic<std::uint64_t> drawn{0};

/// splitmix64
inline std::uint64_t draw() noexcept {
    std::uint64_t x = seed + drawn.fetch_add(1, std::memory_order_relaxed) * 0x9e3779b97f4a7c15U;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

inline unsigned below(unsigned n) noexcept { return static_cast<unsigned>(draw() % n); }
inline bool one_in(unsigned n) noexcept { return below(n) == 0; }
inline std::chrono::milliseconds milliseconds_between(unsigned from, unsigned to) noexcept {
    return std::chrono::milliseconds(from + below(to - from + 1));
}

} // namespace soak
