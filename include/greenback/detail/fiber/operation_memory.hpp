// SPDX-License-Identifier: MIT
// Where the operation that a fiber waits for keeps what it needs until it is over.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace greenback::detail {

/// Room for what an operation keeps until it is over: a fiber has some for the operation that is waited for. It is not
/// on the fiber's stack, because an operation may keep it longer than it should, even for longer than the portal lives;
/// and whoever has an allocator for it may ask for some when the fiber is gone and something else lies there. So only
/// the very value `free` says that it can be had.
struct operation_memory {
    /// Written by whoever takes it and gives it back, on whatever thread, and where a fiber begins and ends.
    std::atomic<std::uint32_t> state;
    static constexpr std::uint32_t none = 0, free = 0x6672656d, in_use = 0x75736564;
    alignas(16) unsigned char bytes[256];

    /// Is `p`, of whatever was allocated, these bytes? @param m null: nothing is
    static bool holds(operation_memory const* m, void const* p) noexcept {
        return std::uintptr_t(p) == std::uintptr_t(m) + offsetof(operation_memory, bytes);
    }

    bool take() noexcept {
        std::uint32_t expected = free;
        return state.compare_exchange_strong(expected, in_use, std::memory_order_acquire, std::memory_order_relaxed);
    }
    void give_back() noexcept { state.store(free, std::memory_order_release); }
    bool is_in_use() const noexcept { return state.load(std::memory_order_acquire) == in_use; }
};

} // namespace greenback::detail
