// SPDX-License-Identifier: MIT
// How much of a stack is left, and how much was ever used.

#include "os_memory.hpp"

#include <greenback/detail/fiber/fiber.hpp>
#include <greenback/detail/fiber/portal_base.hpp>
#include <greenback/detail/fiber/stack_pool.hpp>
#include <greenback/detail/fiber/thread_state.hpp>
#include <greenback/stack.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace greenback {

std::size_t remaining_stack() noexcept {
    detail::portal_base const* const portal = detail::raw_current_portal();
    char const* const here = static_cast<char const*>(__builtin_frame_address(0));
    // A signal handler on a stack of its own is not on the portal's.
    if (!portal || !portal->own_fiber().holds(here))
        return std::numeric_limits<std::size_t>::max();
    return static_cast<std::size_t>(here - portal->own_fiber().stack_bottom());
}

// ----------------------------------------------------------------------------------------------------
// The high-water mark. Nothing is recorded while portals run: the kernel knows which pages were touched, and is asked
// when somebody wants to know, or when a page is about to be given up.
namespace {

std::atomic<bool> measured{false};   // written by measure_stack_use
std::atomic<std::size_t> highest{0}; // of the pages that are gone. Written by raise_to, reset by measure_stack_use

std::size_t raise_to(std::size_t use) noexcept {
    std::size_t so_far = highest.load(std::memory_order_relaxed);
    while (so_far < use && !highest.compare_exchange_weak(so_far, use, std::memory_order_relaxed))
        continue;
    return std::max(so_far, use);
}

} // namespace

std::size_t detail::stack_bytes_touched(stack s) noexcept {
    // Whole pages: another allocator's stack may begin and end anywhere.
    std::size_t const page = os::page_size();
    char* const top = static_cast<char*>(s.top);
    char* const bottom = top - s.size;
    char* const begin = bottom + (page - reinterpret_cast<std::uintptr_t>(bottom) % page) % page;
    char* const end = top + (page - reinterpret_cast<std::uintptr_t>(top) % page) % page;
    if (begin >= end)
        return 0;
    char* const lowest = os::first_touched(begin, end);
    return lowest && lowest < top ? static_cast<std::size_t>(top - lowest) : 0;
}

void detail::note_stack_use(stack s) noexcept {
    if (measured.load(std::memory_order_relaxed))
        raise_to(stack_bytes_touched(s));
}

void measure_stack_use(bool on) noexcept {
    if (on && !measured.load(std::memory_order_relaxed))
        highest.store(0, std::memory_order_relaxed);
    measured.store(on, std::memory_order_relaxed);
}

std::size_t stack_high_water() noexcept {
    std::size_t most = highest.load(std::memory_order_relaxed);
    detail::for_each_stack([&](detail::stack s, bool) { most = std::max(most, detail::stack_bytes_touched(s)); });
    detail::for_each_fiber_elsewhere(
        [](detail::fiber& f, void* result) {
            auto& so_far = *static_cast<std::size_t*>(result);
            so_far = std::max(so_far, detail::stack_bytes_touched({f.stack.sp, f.stack.size}));
        },
        &most);
    return measured.load(std::memory_order_relaxed) ? raise_to(most) : most;
}

} // namespace greenback
