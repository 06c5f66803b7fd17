// SPDX-License-Identifier: MIT
// The pool of stacks: which of them is handed out next, and what becomes of those that are given back. What it is made
// of is described in stack_region.hpp.

#include <greenback/detail/fiber/stack_pool.hpp>

#include "debug_layout.hpp"
#include "hold_across_fork.hpp"
#include "never_destroyed.hpp"
#include "os_memory.hpp"
#include "stack_region.hpp"
#include "stack_shortage.hpp"
#include "stack_size.hpp"
#include "valgrind.hpp"

#include <greenback/detail/fiber/sanitizer.hpp>

#include <greenback/stack.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cassert>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <utility>

namespace greenback {
namespace detail {
namespace {

// A region doubles what its class has reserved, so a class never reserves more than about twice what it uses,
// and a million stacks of the default size take fewer than 150 regions. The bound keeps a refused request from being an
// absurd one.
constexpr std::size_t first_region_size = 4 * mib;
constexpr std::size_t max_region_size = wide_addresses ? 4096 * mib : 64 * mib;

std::atomic<bool> unguarded_allowed{false}; // written by allow_unguarded_stacks

class pool {
public:
    constexpr pool() noexcept = default;

    std::size_t acquire(std::size_t size, stack* out, std::size_t count) {
        shortage::failure why;
        bool unguarded = false;
        std::size_t taken = 0;
        std::size_t with_pages = 0;
        {
            std::lock_guard const lock(mutex_);
            size_class& c = classes_[class_index(size)];
            if (c.size == 0)
                c.begin(size);
            with_pages = take_resident(c, out, count);
            taken = with_pages + take_cold(c, out + with_pages, count - with_pages);
            while (taken != count) {
                std::size_t const n = take_fresh(c, out + taken, count - taken, why, unguarded);
                if (n == 0)
                    break;
                taken += n;
            }
        }
        if (unguarded)
            shortage::report_unguarded(why);
        if (taken == 0)
            shortage::raise(why, size);
        populate_tops(out + with_pages, taken - with_pages);
        return taken;
    }

    void release(stack const* stacks, std::size_t count) noexcept {
        std::array<slot_ref, os::most_ranges> evicted; // NOLINT: filled as far as it is read
        while (count != 0) {
            std::size_t const n = std::min(count, evicted.size());
            for (std::size_t i = 0; i != n; ++i) {
                // What ran here may have ended without leaving its frames (a jump, a killed fiber): their red
                // zones would be false alarms for the next user. Memcheck has false alarms for where frames were
                // left, if the next user has a record there. New memory has neither, so this is the only place.
                sanitizer::unpoison(stacks[i].bottom(), stacks[i].size);
                valgrind::allow(stacks[i].bottom(), stacks[i].size);
            }
            std::size_t evictions = 0;
            {
                std::lock_guard const lock(mutex_);
                for (std::size_t i = 0; i != n; ++i) {
                    if (auto const oldest = put(regions_.find(stacks[i].top)))
                        evicted[evictions++] = *oldest;
                }
                idle_.fetch_add(n, std::memory_order_relaxed);
            }
            if (evictions != 0) {
                // Without the lock: nobody else can reach these slots, they are in neither list.
                std::sort(evicted.begin(), evicted.begin() + evictions, above);
                discard(evicted.data(), evictions);
                std::lock_guard const lock(mutex_);
                for (std::size_t i = 0; i != evictions; ++i)
                    put_cold(evicted[i]); // the lowest last, so that they are handed out upwards again
            }
            stacks += n;
            count -= n;
        }
    }

    std::size_t idle() const noexcept { return idle_.load(std::memory_order_relaxed); }

    void for_each(void (*visit)(void*, std::size_t, bool, void*), void* arg) const {
        for (size_class const& c : classes_) {
            // Acquire: everything a region points to, and the class's size, was written before it was
            // published.
            for (region const* r = c.newest.load(std::memory_order_acquire); r; r = r->older) {
                std::uint32_t const end = r->handed_out.load(std::memory_order_acquire);
                for (std::uint32_t i = 0; i != end; ++i) {
                    bool const used = r->slots[i].load(std::memory_order_acquire) == in_use;
                    visit(r->base + (i + std::size_t(1)) * c.stride, c.size, used, arg);
                }
            }
        }
    }

    constexpr size_class const* classes() const noexcept { return classes_.data(); }

    // Around fork(): the child gets the pool between two operations, with its lock free.
    void lock() { mutex_.lock(); }
    void unlock() { mutex_.unlock(); }

private:
    // Whoever takes several stacks is about to write to the top of each.
    static void populate_tops(stack const* stacks, std::size_t count) noexcept {
        std::array<os::range, os::most_ranges> pages; // NOLINT: filled as far as it is read
        std::size_t const page = os::page_size();
        while (count != 0) {
            std::size_t const n = std::min(count, pages.size());
            for (std::size_t i = 0; i != n; ++i)
                pages[i] = {static_cast<char*>(stacks[i].top) - page, page};
            os::populate(pages.data(), n);
            stacks += n;
            count -= n;
        }
    }

    static bool above(slot_ref a, slot_ref b) noexcept {
        return a.in != b.in ? a.in->base > b.in->base : a.index > b.index;
    }

    // Gives the pages of slots back, which are in the order of `above`. Neighbours are one range: the guards between
    // them stay.
    static void discard(slot_ref const* slots, std::size_t count) noexcept {
        std::array<os::range, os::most_ranges> ranges; // NOLINT: filled as far as it is read
        std::size_t n = 0;
        for (std::size_t i = 0; i != count; ++i) {
            size_class const& c = slots[i].in->owner;
            note_stack_use({c.top(slots[i]), c.size});
            char* const bottom = c.top(slots[i]) - c.size;
            bool const below = i != 0 && slots[i].in == slots[i - 1].in && slots[i].index + 1 == slots[i - 1].index;
            if (below)
                ranges[n - 1] = {bottom, ranges[n - 1].bytes + c.stride};
            else
                ranges[n++] = {bottom, c.size};
        }
        os::discard(ranges.data(), n);
    }

    // Everything below: with the lock held.

    std::size_t take_resident(size_class& c, stack* out, std::size_t count) noexcept {
        std::size_t taken = 0;
        for (; taken != count && c.resident_count != 0; ++taken) {
            slot_ref const slot = c.residents[(c.oldest_resident + --c.resident_count) % c.residents.size()];
            set(slot, in_use);
            out[taken] = {c.top(slot), c.size};
        }
        idle_.fetch_sub(taken, std::memory_order_relaxed);
        return taken;
    }

    std::size_t take_cold(size_class& c, stack* out, std::size_t count) noexcept {
        std::size_t taken = 0;
        for (; taken != count && c.with_cold; ++taken) {
            region* const r = c.with_cold;
            slot_ref const slot{r, r->first_cold};
            r->first_cold = r->slots[slot.index].load(std::memory_order_relaxed) - first_link;
            if (r->first_cold == r->count)
                c.with_cold = r->next_with_cold;
            set(slot, in_use);
            out[taken] = {c.top(slot), c.size};
        }
        idle_.fetch_sub(taken, std::memory_order_relaxed);
        return taken;
    }

    // Neighbours, whose guards are made at their first use and in one call.
    std::size_t take_fresh(size_class& c, stack* out, std::size_t count, shortage::failure& why, bool& unguarded) {
        region* r = c.newest.load(std::memory_order_relaxed);
        if (!r || r->handed_out.load(std::memory_order_relaxed) == r->count)
            r = add_region(c, why);
        if (!r)
            return 0;
        std::uint32_t const first = r->handed_out.load(std::memory_order_relaxed);
        std::size_t const wanted = std::min({count, std::size_t(r->count - first), os::most_ranges});
        std::size_t taken = os::guard(c.top({r, first}) - c.stride, c.stride, wanted, os::guard_size());
        if (taken == 0) {
            why = {shortage::step::guard, errno, os::guard_size()};
            if (!unguarded_allowed.load(std::memory_order_relaxed))
                return 0;
            unguarded = true;
            taken = 1;
        }
        // Their state has been in_use since the region was made.
        for (std::uint32_t i = 0; i != taken; ++i)
            out[i] = {c.top({r, first + i}), c.size};
        r->handed_out.store(first + static_cast<std::uint32_t>(taken), std::memory_order_release);
        return taken;
    }

    region* add_region(size_class& c, shortage::failure& why) {
        std::size_t const stride = c.stride;
        std::size_t bytes = c.next_region != 0 ? c.next_region : first_region_size;
        for (;; bytes /= 2) {
            std::size_t const count = std::max<std::size_t>(bytes / stride, 1);
            if (void* const base = os::reserve(count * stride)) {
                region* const r = make_region(c, static_cast<char*>(base), static_cast<std::uint32_t>(count));
                if (r) {
                    c.next_region = std::clamp(count * stride * 2, first_region_size, max_region_size);
                    return r;
                }
                os::unreserve(base, count * stride);
                why = {shortage::step::bookkeeping, ENOMEM, count * sizeof(std::atomic<slot_state>)};
            } else
                why = {shortage::step::reserve, errno, count * stride};
            if (count == 1) {
                // Next time, don't start with sizes that were refused just now; from there it doubles again.
                c.next_region = stride;
                return nullptr;
            }
        }
    }

    region* make_region(size_class& c, char* base, std::uint32_t count) noexcept {
        try {
            regions_.make_room();
            auto slots = std::make_unique<std::atomic<slot_state>[]>(count); // zero: in_use
            auto r =
                std::make_unique<region>(c, base, count, std::move(slots), c.newest.load(std::memory_order_relaxed));
            regions_.add(*r);
            c.newest.store(r.get(), std::memory_order_release);
            return r.release(); // for the life of the process
        } catch (std::bad_alloc const&) {
            return nullptr;
        }
    }

    // Returns what had to leave the LIFO for it.
    std::optional<slot_ref> put(slot_ref slot) noexcept {
        size_class& c = slot.in->owner;
        assert(slot.in->slots[slot.index].load(std::memory_order_relaxed) == in_use && "a stack was released twice");
        set(slot, resident);
        std::optional<slot_ref> oldest;
        if (c.resident_count == c.max_residents()) {
            oldest = c.residents[c.oldest_resident];
            c.oldest_resident = static_cast<std::uint32_t>((c.oldest_resident + 1) % c.residents.size());
            --c.resident_count;
        }
        c.residents[(c.oldest_resident + c.resident_count++) % c.residents.size()] = slot;
        return oldest;
    }

    void put_cold(slot_ref slot) noexcept {
        region& r = *slot.in;
        if (r.first_cold == r.count) {
            r.next_with_cold = r.owner.with_cold;
            r.owner.with_cold = &r;
        }
        set(slot, first_link + r.first_cold);
        r.first_cold = slot.index;
    }

    static void set(slot_ref slot, slot_state state) noexcept {
        slot.in->slots[slot.index].store(state, std::memory_order_release);
    }

    std::mutex mutex_; // guards everything here but the atomics' readers
    std::array<size_class, class_count> classes_{};
    region_table regions_;
    std::atomic<std::size_t> idle_{0}; // resident, cold and in between; written with the lock held
};

constinit never_destroyed<pool> the_pool;

[[maybe_unused]] int const across_fork = hold_across_fork<the_pool>();

} // namespace

constinit size_class const* const pool_classes = the_pool->classes();

stack acquire_stack(std::size_t size) {
    stack result{};
    the_pool->acquire(rounded_stack_size(size), &result, 1);
    return result;
}

std::size_t acquire_stacks(std::size_t size, stack* out, std::size_t count) {
    assert(count > 0);
    return the_pool->acquire(rounded_stack_size(size), out, count);
}

void release_stacks(stack const* stacks, std::size_t count) noexcept { the_pool->release(stacks, count); }

void discard_pages(stack s, std::size_t keep_top_bytes) noexcept {
    std::size_t const kept = round_up(std::min(keep_top_bytes, s.size), os::page_size());
    if (kept >= s.size)
        return;
    note_stack_use(s);
    os::discard(s.bottom(), s.size - kept);
}

std::size_t stacks_idle() noexcept { return the_pool->idle(); }

void for_each_stack(void (*visit)(void* top, std::size_t size, bool in_use, void* arg), void* arg) {
    the_pool->for_each(visit, arg);
}

std::size_t stack_guard_size() noexcept { return os::guard_size(); }

guard_kind stack_guard_kind() noexcept { return os::guard_kind(); }

void force_protection_guards(bool force) noexcept { os::force_protection(force); }

void force_single_advice(bool force) noexcept { os::force_single_advice(force); }

} // namespace detail

void allow_unguarded_stacks(bool allow) noexcept { detail::unguarded_allowed.store(allow, std::memory_order_relaxed); }

} // namespace greenback
