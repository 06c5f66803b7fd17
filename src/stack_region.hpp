// SPDX-License-Identifier: MIT
//
// What the pool of stacks is made of. Address space is reserved in large regions, each cut into equal slots:
//
//      region of one size class, e.g. 4 MiB              low address first
//      ┌───────┬───────────┬───────┬───────────┬───────┬─ ─ ─┐
//      │ guard │ stack     │ guard │ stack     │ guard │     │   one mapping, whatever the number of stacks
//      └───────┴───────────┴───────┴───────────┴───────┴─ ─ ─┘
//       slot 0              slot 1              handed_out → never used yet: no guard, no page
//
// A slot goes   fresh → in use → resident → in use → …     resident: idle, its pages kept; a bounded LIFO
//                                    └────→ cold → in use  cold: idle, its pages given back
//
// Regions are never unmapped, so an address that once was a stack stays one: that makes the walk in
// `for_each_stack` safe without a lock, and a stale pointer into a stack a bug without consequences for
// strangers.
#pragma once

#include "os_memory.hpp"
#include "stack_size.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace greenback::detail {

// How much idle memory a size class keeps: enough that a server whose load fluctuates by some hundred tasks makes no
// system call (with 64, two threads that each made 100 portals at a time threw pages away all the while, and took turns
// in the kernel doing it), little enough that a single burst of deep recursion isn't remembered for ever.
// The bytes are what that many stacks of the default size come to, so that they limit larger ones only: 80 MiB would be
// 160 stacks, and four threads with bursts of 100 portals would throw pages away again. They are an upper bound, for
// stacks that were all used to the bottom; what most of these hold is a page or two each.
constexpr std::size_t max_resident_stacks = 256;
constexpr std::size_t max_resident_bytes = 128 * mib;

// The states of a slot. All are written with the pool's lock held; for_each_stack reads them without.
//   in_use     handed out, or about to be
//   resident   idle; in its class's LIFO, or just taken out of it to be discarded
//   first_link and above: cold; the value minus first_link is the next cold slot of the region,
//   `region::count` the end
using slot_state = std::uint32_t;
constexpr slot_state in_use = 0;
constexpr slot_state resident = 1;
constexpr slot_state first_link = 2;

struct size_class;

struct region {
    using slot_states = std::unique_ptr<std::atomic<slot_state>[]>;

    region(size_class& c, char* b, std::uint32_t n, slot_states s, region* o) noexcept
        : owner(c), base(b), count(n), slots(std::move(s)), older(o), first_cold(n) {}

    // Constant:
    size_class& owner;
    char* const base;
    std::uint32_t const count; // slots that fit
    slot_states const slots;   // outside of the stacks: 4 bytes each
    region* const older;       // next region of the class

    // Slots ever handed out: [0, handed_out). Only grows, with the lock held, after the new slot's guard is
    // in place.
    std::atomic<std::uint32_t> handed_out{0};

    // With the lock held:
    std::uint32_t first_cold; // head of the chain through `slots`; `count`: none
    region* next_with_cold = nullptr;
};

struct slot_ref {
    region* in;
    std::uint32_t index;
};

struct size_class {
    // Written once, with the lock held, before `newest`:
    std::size_t size = 0;   // usable bytes; 0: never used
    std::size_t stride = 0; // with the guard

    std::atomic<region*> newest{nullptr}; // written with the lock held; for_each_stack follows it without

    // With the lock held:
    std::size_t next_region = 0;                           // bytes to ask for next; 0: first_region_size
    region* with_cold = nullptr;                           // regions with at least one cold slot
    std::array<slot_ref, max_resident_stacks> residents{}; // ring: the idle stacks that keep their pages,
    std::uint32_t oldest_resident = 0;                     //   the one released first,
    std::uint32_t resident_count = 0;                      //   and how many

    void begin(std::size_t usable) noexcept {
        size = usable;
        stride = usable + os::guard_size();
    }

    std::uint32_t max_residents() const noexcept {
        return static_cast<std::uint32_t>(std::clamp<std::size_t>(max_resident_bytes / size, 1, max_resident_stacks));
    }

    char* top(slot_ref slot) const noexcept { return slot.in->base + (slot.index + std::size_t(1)) * stride; }
};

// All regions, to find the one in which a stack lies. Everything with the pool's lock held.
class region_table {
public:
    constexpr region_table() noexcept = default;

    /// Makes room for one more. @throws std::bad_alloc
    void make_room() {
        if (count_ != capacity_)
            return;
        std::size_t const capacity = std::max<std::size_t>(2 * capacity_, 16);
        auto larger = std::make_unique<region*[]>(capacity);
        std::copy(regions_.get(), end(), larger.get());
        regions_ = std::move(larger);
        capacity_ = capacity;
    }

    /// @pre make_room() since the last one was added
    void add(region& r) noexcept {
        region** const above = first_above(r.base);
        std::copy_backward(above, end(), end() + 1);
        *above = &r;
        ++count_;
    }

    /// @pre `top` is that of a stack in a region
    slot_ref find(void const* top) const noexcept {
        // The last byte of the stack, which unlike `top` can't belong to the region above.
        char const* const address = static_cast<char const*>(top) - 1;
        region** const above = first_above(address);
        assert(above != regions_.get() && "this stack is not from the pool");
        region* const r = above[-1];
        auto const index = static_cast<std::size_t>(address - r->base) / r->owner.stride;
        assert(index < r->count && "this stack is not from the pool");
        return {r, static_cast<std::uint32_t>(index)};
    }

private:
    region** end() const noexcept { return regions_.get() + count_; }

    region** first_above(char const* address) const noexcept {
        return std::upper_bound(regions_.get(), end(), address,
                                [](char const* a, region const* r) { return a < r->base; });
    }

    // By address; only grows. Not a std::vector: with _GLIBCXX_DEBUG that can't be constructed before any code runs.
    std::unique_ptr<region*[]> regions_;
    std::size_t count_ = 0;
    std::size_t capacity_ = 0;
};

// Four classes per doubling: 16, 20, 24, 28, 32, 40, 48, … A fixed number of them, so that odd sizes can't
// multiply.
constexpr unsigned class_index(std::size_t size) noexcept // size > min_stack_size / 2
{
    // 2^octave < size <= 2^(octave + 1), in which there are 5 to 8 steps
    auto const octave = static_cast<unsigned>(std::bit_width(size - 1)) - 1;
    std::size_t const step = (std::size_t(1) << octave) / 4;
    auto const steps = static_cast<unsigned>((size + step - 1) / step);
    return (octave - 13) * 4 + steps - 8;
}
static_assert(class_index(min_stack_size) == 0 && class_index(min_stack_size + 1) == 1);
static_assert(class_index(2 * min_stack_size) == 4 && class_index(2 * min_stack_size + 1) == 5);

constexpr std::size_t class_count = class_index(max_stack_size) + 1;

} // namespace greenback::detail
