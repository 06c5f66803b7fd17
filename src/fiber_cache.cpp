// SPDX-License-Identifier: MIT
// A thread's cache of fibers, and its slow path.
//
// A thread keeps the fibers it was given back last, up to 64 and 32 MiB of stack, with their pages, so that a portal
// costs neither lock nor system call. What is beyond that goes to the shared pool, the longest idle 16 at once; the
// pool keeps 256 more of a size (128 MiB) for all threads together, and gives the pages of the others back to the
// system at once. So what a burst of portals leaves behind is at most 32 MiB for each thread that ended some, however
// deep they went, and 128 MiB for the process; it is given back to the pool when the thread ends, or first borrows
// after the default size has changed. Nothing is ever trimmed by time.
//
// The bytes are what 64 stacks of the default size come to, so that they limit larger ones only.

#include "at_thread_exit.hpp"
#include "fiber_end.hpp"

#include <greenback/detail/fiber/fiber.hpp>
#include <greenback/detail/fiber/stack_pool.hpp>
#include <greenback/detail/fiber/thread_state.hpp>
#include <greenback/stack.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <utility>

namespace greenback::detail {
namespace {

constexpr unsigned most_cached = 64;
constexpr std::size_t most_cached_bytes = std::size_t(32) * 1024 * 1024;
constexpr unsigned least_cached = 2; // of very large stacks: two tasks that take turns need no system call

/// How many stacks are taken from the pool at once: with one lock, one system call for their guards and one for their
/// first pages. A thread may never need more than the first of them, so it takes a quarter of what it has taken since
/// it gave some back. So few are held in vain, and a burst of thousands of portals takes 32 at once.
constexpr unsigned least_taken = 8;
constexpr unsigned most_taken = 32;

/// Stacks given to the pool with one lock, when there are too many. Half of them would be fewer locks still, but then a
/// burst of 100 portals, again and again, had the pool throw pages away each time: 900 ns a portal instead of 30.
constexpr unsigned trim_size = 16;

/// Ends all but the first `keep` of a thread's cached fibers and gives their stacks to the pool.
void trim_cache(thread_state& thread, unsigned keep) noexcept {
    fiber** last = &thread.cached;
    for (unsigned i = 0; i != keep; ++i)
        last = &(*last)->next;
    thread.cached_count = keep;
    thread.taken = 0;
    destroy_fibers(std::exchange(*last, nullptr));
}

/// Gives a thread's cached fibers back when the thread ends.
void give_cache_back(void*) noexcept {
    thread_state& thread = this_thread();
    thread.ending = true; // anything returned after this goes to the pool at once
    thread.generation = 0;
    thread.cached_limit = 0;
    trim_cache(thread, 0);
}

[[gnu::init_priority(101)]] at_thread_exit<give_cache_back> const cleanup;

/// Brings what the thread keeps up to date, before it is used. @returns whether it may keep anything
bool renew_cache(thread_state& thread) noexcept {
    if (thread.ending)
        return false;
    unsigned const now = cache_generation.load(std::memory_order_acquire);
    if (thread.generation == now)
        return true;
    if (!cleanup.ask(&thread))
        return false;
    trim_cache(thread, 0);
    std::size_t const fitting = most_cached_bytes / std::max<std::size_t>(default_stack_size(), 1);
    thread.cached_limit = static_cast<unsigned>(std::clamp<std::size_t>(fitting, least_cached, most_cached));
    thread.generation = now;
    watch_for_overflow();
    return true;
}

} // namespace

constinit std::atomic<unsigned> cache_generation{1};

void renew_caches() noexcept {
    if (cache_generation.fetch_add(1, std::memory_order_release) + 1 == 0)
        cache_generation.fetch_add(1, std::memory_order_release); // 0 is no generation
}

fiber& borrow_fiber_slow(thread_state& thread) {
    destroy_waiting_fibers();
    bool const keeps = renew_cache(thread);
    stack batch[most_taken];
    unsigned const wanted =
        keeps ? std::min(std::clamp(thread.taken / 4, least_taken, most_taken), thread.cached_limit) : 1;
    std::size_t n = acquire_stacks(0, batch, wanted);
    thread.taken += static_cast<unsigned>(n);
    auto const make = [&](stack const& s) {
        boost::context::stack_context on;
        on.sp = s.top;
        on.size = s.size;
        fiber* const f = make_fiber(on, nullptr, fiber_at(s.top));
        f->generation = thread.generation;
        return f;
    };
    // The first was used last, and is taken; the others are kept so that the next one is the best.
    while (--n != 0) {
        fiber* const f = make(batch[n]);
        f->next = std::exchange(thread.cached, f);
        ++thread.cached_count;
    }
    return *make(batch[0]);
}

void return_fiber_slow(thread_state& thread, fiber& f) noexcept {
    // A thread that so far only ended other threads' portals may be here for the first time.
    if (f.release || !renew_cache(thread) || f.generation != thread.generation)
        return destroy_fiber(f);
    if (thread.cached_count >= thread.cached_limit)
        trim_cache(thread, thread.cached_count - std::min(trim_size, (thread.cached_count + 1) / 2));
    f.next = std::exchange(thread.cached, &f);
    ++thread.cached_count;
}

} // namespace greenback::detail
