// SPDX-License-Identifier: MIT
// What the library keeps per thread: the portal whose fiber runs here, and a few fibers ready for use.
#pragma once

#include <greenback/detail/config.hpp>
#include <greenback/detail/fiber/fiber.hpp>
#include <greenback/detail/platform/exception_state.hpp>

#include <atomic>

namespace greenback::detail {

struct thread_state {
    /// The portal whose fiber this thread is on; null off every fiber. Written by `portal_base::enter` and `enter_new`
    /// alone.
    portal_base* current = nullptr;
    /// This thread's `__cxa_get_globals()`, fetched once: the address of a thread's state never changes.
    exception_state* exceptions = nullptr;
    /// The fibers ready for use, on stacks of the default size, last in first out, and their number. This thread's
    /// alone.
    fiber* cached = nullptr;
    unsigned cached_count = 0;
    /// How many may be kept: 0 until the slow path has arranged that they are given back when the thread ends.
    unsigned cached_limit = 0;
    /// The value of `cache_generation` that `cached` and `cached_limit` are right for; 0: none yet. Written by the slow
    /// path.
    unsigned generation = 0;
    /// How many stacks were taken from the pool since some were last given to it. Written by the slow path.
    unsigned taken = 0;
    /// The thread is ending and its cache was given back: nothing is kept any more.
    bool ending = false;
};

/// Moves on when the default size changes: what threads keep is then of the wrong size. Threads notice when they
/// borrow.
extern std::atomic<unsigned> cache_generation;
void renew_caches() noexcept;

/// To be read where a switch of stacks can neither have come nor come between, and by the functions below.
extern constinit thread_local thread_state state_of_this_thread;

/// This thread's state. The function is opaque to the compiler: a fiber may continue on another thread, and an address
/// of a thread-local that was computed before a switch would belong to the wrong one. Ask again after every switch.
thread_state& this_thread() noexcept;

/// The same for a resumer, before it goes in: it stays on its thread, so nothing has to be hidden from the compiler
/// (but that this is a thread-local, which it would address anew each time). Where nothing is known of the thread yet,
/// as `exceptions` tells, `this_thread` must be asked.
GREENBACK_SWITCH_PATH inline thread_state& this_resumer_or_unknown() noexcept {
    thread_state* s = &state_of_this_thread;
    asm("" : "+r"(s));
    return *s;
}
GREENBACK_SWITCH_PATH inline thread_state& this_resumer() noexcept {
    thread_state& here = this_resumer_or_unknown();
    return here.exceptions ? here : this_thread();
}

/// The portal whose fiber this thread is on, for signal handlers: does nothing but look.
portal_base* raw_current_portal() noexcept;

/// Where overflows are to be reported, gives this thread the alternate stack that takes. Not on the switch path: called
/// when a thread is first seen, and when it notices a new generation.
void watch_for_overflow() noexcept;

/// Where the cache has none that fits: a new fiber on a stack of the default size, and some more for the cache.
/// @throws std::bad_alloc
fiber& borrow_fiber_slow(thread_state& thread);
void return_fiber_slow(thread_state& thread, fiber& f) noexcept;

/// One from the cache, or null.
GREENBACK_SWITCH_PATH inline fiber* cached_fiber(thread_state& thread) noexcept {
    fiber* f = thread.cached;
    if (!f || thread.generation != cache_generation.load(std::memory_order_relaxed)) [[unlikely]]
        return nullptr;
    thread.cached = f->next;
    --thread.cached_count;
    return f;
}

/// From the cache, or else new. @throws std::bad_alloc
inline fiber& borrow_fiber(thread_state& thread) {
    fiber* const f = cached_fiber(thread);
    return f ? *f : borrow_fiber_slow(thread);
}

GREENBACK_SWITCH_PATH inline void return_fiber(thread_state& thread, fiber& f) noexcept {
    GREENBACK_ASSERT(f.is_out() && !f.is_busy());
    if (f.generation != thread.generation || thread.cached_count >= thread.cached_limit) [[unlikely]]
        return return_fiber_slow(thread, f);
    f.next = thread.cached;
    thread.cached = &f;
    ++thread.cached_count;
}

} // namespace greenback::detail
