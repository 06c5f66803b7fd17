// SPDX-License-Identifier: MIT
// Making, parking and destroying fibers: everything that is not on the path of an await.

#include <greenback/detail/fiber/fiber.hpp>
#include <greenback/detail/fiber/stack_pool.hpp>
#include <greenback/detail/fiber/thread_state.hpp>
#include <greenback/stack.hpp>

#include <algorithm>
#include <iterator>
#include <mutex>
#include <new>
#include <utility>

#include <pthread.h>

namespace greenback::detail {
namespace {

/// Only ASan needs a fiber to leave its main loop: to free its fake stack.
bool leaves([[maybe_unused]] fiber const& f) noexcept {
#if defined(GREENBACK_ASAN)
    return f.leaving;
#else
    return false;
#endif
}

/// Where a fiber begins, sleeps between two jobs, and ends.
void fiber_main(boost::context::detail::transfer_t from) noexcept {
    // There is no frame above this one. Boost.Context's entry code does not say so in every version, and an unwinder or
    // a debugger would go on into whatever lies there.
#if defined(__x86_64__)
    asm volatile(".cfi_undefined rip");
#endif
    fiber& f = *static_cast<fiber*>(from.data);
    f.is_in_from(from.fctx);
#if defined(GREENBACK_ASAN)
    __sanitizer_finish_switch_fiber(nullptr, &f.resumer_bottom, &f.resumer_size);
#endif
    do {
        f.job(f.argument);
        f.busy.store(false, std::memory_order_relaxed);
        switch_out(f);
    } while (!leaves(f));
    // The last way out. A null place for the fake stack tells ASan to free it.
#if defined(GREENBACK_ASAN)
    __sanitizer_start_switch_fiber(nullptr, f.resumer_bottom, f.resumer_size);
#endif
#if defined(GREENBACK_TSAN)
    __tsan_switch_to_fiber(f.tsan_resumer, 0);
#endif
    jump(f.resumer(), nullptr);
    __builtin_unreachable();
}

/// Lets a fiber leave its main loop where a sanitizer needs that. What is left of it is a stack and what gives it back.
void end_fiber(fiber& f) noexcept {
#if defined(GREENBACK_ASAN)
    if (f.asan_fake_stack || f.resumer_bottom) { // it has run: let it leave for good, and its fake stack be freed
        f.leaving = true;
        switch_in(f);
    }
#endif
#if defined(GREENBACK_TSAN)
    if (f.tsan_fiber)
        __tsan_destroy_fiber(f.tsan_fiber);
    f.tsan_fiber = nullptr;
#endif
    f.own_operation_memory.state.store(operation_memory::none, std::memory_order_relaxed);
    f.set_valid(false);
}

// ---- fibers whose end has to wait ----------------------------------------------------------------------------------
//
// An operation should give the fiber's memory for it back before it completes. One that doesn't may still hold it
// when the fiber's stack is to be given back: then the fiber is put aside here, until somebody looks again.

struct waiting_fibers {
    std::mutex mutex;
    std::atomic<fiber*> first{nullptr}; // linked by `argument`, as they have no job. Written with the mutex held
};

/// Never destroyed: fibers may end after the program's other statics.
waiting_fibers& waiting() noexcept {
    alignas(waiting_fibers) static unsigned char memory[sizeof(waiting_fibers)];
    static auto* const list = new (memory) waiting_fibers;
    return *list;
}

/// @returns whether it has been put aside
bool must_wait(fiber& f) noexcept {
    if (!f.own_operation_memory.is_in_use()) [[likely]]
        return false;
    waiting_fibers& list = waiting();
    std::scoped_lock lock(list.mutex);
    f.argument = list.first.load(std::memory_order_relaxed);
    list.first.store(&f, std::memory_order_relaxed);
    return true;
}

/// Ends those that need not wait any longer.
void end_waiting() noexcept {
    waiting_fibers& list = waiting();
    if (!list.first.load(std::memory_order_relaxed)) [[likely]]
        return;
    fiber* f;
    {
        std::scoped_lock lock(list.mutex);
        f = list.first.exchange(nullptr, std::memory_order_relaxed);
    }
    while (f)
        destroy_fiber(*std::exchange(f, static_cast<fiber*>(f->argument))); // which puts it aside again, if it must
}

// ---- what a thread keeps --------------------------------------------------------------------------------------------
//
// A thread keeps the fibers it was given back last, up to 64 and 32 MiB of stack, with their pages, so that a portal
// costs neither lock nor system call. What is beyond that goes to the shared pool, the longest idle 16 at once; the
// pool keeps 256 more of a size (128 MiB) for all threads together, and gives the pages of the others back to the
// system at once. So what a burst of portals leaves behind is at most 32 MiB for each thread that ended some, however
// deep they went, and 128 MiB for the process; it is given back to the pool when the thread ends, or first borrows
// after the default size has changed. Nothing is ever trimmed by time.
//
// The bytes are what 64 stacks of the default size come to, so that they limit larger ones only.

constexpr unsigned most_parked = 64;
constexpr std::size_t most_parked_bytes = std::size_t(32) * 1024 * 1024;
constexpr unsigned least_parked = 2; // of very large stacks: two tasks that take turns need no system call

/// Stacks taken from the pool with one lock. Each costs its guard and its first page, so not many more than are wanted.
constexpr unsigned batch_size = 8;

/// Stacks given to the pool with one lock, when there are too many. Half of them would be fewer locks still, but then a
/// burst of 100 portals, again and again, had the pool throw pages away each time: 900 ns a portal instead of 30.
constexpr unsigned trim_size = 16;

/// Ends all but the first `keep` of a thread's parked fibers and gives their stacks to the pool, with one lock for
/// many.
void trim_parked(thread_state& thread, unsigned keep) noexcept {
    fiber** last = &thread.parked;
    for (unsigned i = 0; i != keep; ++i)
        last = &(*last)->next;
    fiber* f = std::exchange(*last, nullptr);
    thread.parked_count = keep;
    while (f) {
        stack batch[most_parked];
        std::size_t n = 0;
        while (f && n != std::size(batch)) {
            fiber* const next = f->next;
            if (must_wait(*f)) {
                f = next;
                continue;
            }
            batch[n++] = {f->stack.sp, f->stack.size};
            end_fiber(*f);
            f->~fiber();
            f = next;
        }
        if (n != 0)
            release_stacks(batch, n);
    }
}

/// Gives a thread's parked fibers back when the thread ends.
struct at_thread_exit {
    ~at_thread_exit() {
        thread_state& thread = this_thread();
        thread.ending = true; // anything returned after this goes to the pool at once
        thread.generation = 0;
        thread.parked_limit = 0;
        trim_parked(thread, 0);
    }
};

/// Brings what the thread keeps up to date, before it is used. @returns whether it may keep anything
bool renew_cache(thread_state& thread) noexcept {
    if (thread.ending)
        return false;
    unsigned const now = cache_generation.load(std::memory_order_acquire);
    if (thread.generation == now)
        return true;
    thread_local at_thread_exit cleanup;
    (void)cleanup;
    this_thread();
    trim_parked(thread, 0);
    std::size_t const fitting = most_parked_bytes / std::max<std::size_t>(default_stack_size(), 1);
    thread.parked_limit = static_cast<unsigned>(std::clamp<std::size_t>(fitting, least_parked, most_parked));
    thread.generation = now;
    watch_for_overflow();
    return true;
}

/// The fibers on other allocators' stacks: the pool knows nothing of those.
struct fibers_elsewhere {
    std::mutex mutex;
    fiber* first = nullptr;

    void add(fiber& f) noexcept {
        std::scoped_lock lock(mutex);
        f.next = first;
        f.previous = nullptr;
        if (first)
            first->previous = &f;
        first = &f;
    }
    void remove(fiber& f) noexcept {
        std::scoped_lock lock(mutex);
        (f.previous ? f.previous->next : first) = f.next;
        if (f.next)
            f.next->previous = f.previous;
    }
};

/// Never destroyed: fibers may end after the program's other statics.
fibers_elsewhere& elsewhere() noexcept {
    alignas(fibers_elsewhere) static unsigned char memory[sizeof(fibers_elsewhere)];
    static auto* const list = new (memory) fibers_elsewhere;
    return *list;
}

// Registered before main, so that no fork can come before it. Neither lock is ever taken with the other, or the pool's,
// held.
[[maybe_unused]] int const fork_handlers = ::pthread_atfork(
    [] {
        waiting().mutex.lock();
        elsewhere().mutex.lock();
    },
    [] {
        elsewhere().mutex.unlock();
        waiting().mutex.unlock();
    },
    [] {
        elsewhere().mutex.unlock();
        waiting().mutex.unlock();
    });

} // namespace

void for_each_fiber_elsewhere(void (*visit)(fiber&, void*), void* argument) noexcept {
    std::scoped_lock lock(elsewhere().mutex);
    for (fiber* f = elsewhere().first; f; f = f->next)
        visit(*f, argument);
}

fiber* make_fiber(boost::context::stack_context stack, void (*release)(fiber&) noexcept, void* where) {
    auto* f = new (where) fiber;
    f->stack = stack;
    f->release = release;
    auto const below = reinterpret_cast<std::uintptr_t>(where) & ~std::uintptr_t(63);
    auto const bottom = reinterpret_cast<std::uintptr_t>(f->stack_bottom());
    f->is_out_at(boost::context::detail::make_fcontext(reinterpret_cast<void*>(below), below - bottom, fiber_main));
    if (release) {
        f->for_operation = &no_operation_memory;
        f->own_operation_memory.state.store(operation_memory::none, std::memory_order_relaxed);
        elsewhere().add(*f);
    } else {
        f->for_operation = &f->own_operation_memory;
        f->own_operation_memory.state.store(operation_memory::free, std::memory_order_relaxed);
    }
    f->set_valid(!release);
    return f;
}

void destroy_fiber(fiber& f) noexcept {
    if (must_wait(f))
        return;
    end_fiber(f);
    if (f.release) {
        elsewhere().remove(f);
        note_stack_use({f.stack.sp, f.stack.size});
        return f.release(f);
    }
    stack const s{f.stack.sp, f.stack.size};
    f.~fiber();
    release_stack(s);
}

constinit std::atomic<unsigned> cache_generation{1};

void renew_caches() noexcept {
    if (cache_generation.fetch_add(1, std::memory_order_release) + 1 == 0)
        cache_generation.fetch_add(1, std::memory_order_release); // 0 is no generation
}

fiber& borrow_fiber_slowly(thread_state& thread) {
    end_waiting();
    bool const keeps = renew_cache(thread);
    stack batch[batch_size];
    std::size_t const wanted = keeps ? std::min(batch_size, thread.parked_limit) : 1;
    std::size_t n = acquire_stacks(0, batch, wanted);
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
        f->next = std::exchange(thread.parked, f);
        ++thread.parked_count;
    }
    return *make(batch[0]);
}

void return_fiber_slowly(thread_state& thread, fiber& f) noexcept {
    // A thread that so far only ended other threads' portals may be here for the first time.
    if (f.release || !renew_cache(thread) || f.generation != thread.generation)
        return destroy_fiber(f);
    if (thread.parked_count >= thread.parked_limit)
        trim_parked(thread, thread.parked_count - std::min(trim_size, (thread.parked_count + 1) / 2));
    f.next = std::exchange(thread.parked, &f);
    ++thread.parked_count;
}

} // namespace greenback::detail
