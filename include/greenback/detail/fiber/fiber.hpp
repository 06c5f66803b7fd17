// SPDX-License-Identifier: MIT
// A fiber: a stack of its own and the place where it will go on. The one file with the switch.
//
// Operations
//   borrow_fiber(thread) a fiber that sleeps in its main loop, from this thread's cache if it can be (thread_state.hpp)
//   f.start(job, arg)    say what it shall run; nothing runs yet
//   switch_in(f)         on the resumer's stack: go in, come back when the fiber comes out
//   switch_out(f)        on the fiber's stack: go out, come back when somebody goes in
//   return_fiber(f)      its job has returned and it is out: to the cache (thread_state.hpp)
//
//        the thread's own stack                              the fiber's stack
//      +------------------------+                          +------------------------+  <- top (page aligned)
//      | io_context::run        |                          | struct fiber, with the |  the record lies on the
//      | a completion handler   |                          | portal it runs for     |  stack it describes
//      | portal_base::enter     |   f.other: the resumer   +------------------------+
//      |   switch_in(f)     ----+----- while it is in ---> | fiber_main             |
//      |                        |                          | your function          |
//      |                     <--+--- f.other: the fiber ---| code that never heard  |
//      +------------------------+     while it is out      |   of coroutines        |
//                                                          | await_                 |
//                                                          |   switch_out(f)        |
//                                                          :                        :
//                                                          +------------------------+
//                                                          | guard page             |
//                                                          +------------------------+
//
// A switch is symmetric: it saves the callee-saved registers here, and hands the place where it did so to the other
// side as `f.other`. Boost.Context's `jump_fcontext` does it; nothing here replaces it.
#pragma once

#include <greenback/detail/config.hpp>
#include <greenback/detail/fiber/operation_memory.hpp>
#include <greenback/detail/fiber/sanitizer.hpp>
#include <greenback/detail/platform/jump.hpp>

#include <boost/context/stack_context.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace greenback::detail {

class portal_base;

/// The record of a fiber, at the top of its stack. The layout is the same in every build, sanitized or not.
struct fiber {
    // What every await looks at comes first, in one cache line: so few of them are fetched for a fiber that was out for
    // long.

    /// Where the other side continues: the resumer while the fiber runs, the fiber itself while it is out. The address
    /// of a context is even; the resumer's is kept with `in_mark` added, which tells that the fiber is in. Where the
    /// address lies would not tell: what runs on the fiber may have entered a stack of somebody else's, and await
    /// there. Atomic because `stats` may look; there is nobody else.
    std::atomic<std::uintptr_t> other{0};
    static constexpr std::uintptr_t in_mark = 1;
    /// The stack, which `release` gives back.
    boost::context::stack_context stack{};
    /// Has it a job? If not, it sleeps in its main loop: in a cache, or held by an idle `portal`. Set by whoever gives
    /// it one, reset by its main loop when the job has returned.
    std::atomic<bool> busy{false};
    /// Is the place of the resumer that of `visit_resumer` (src/on_task_stack.cpp), on top of the resumer? Written by that.
    bool visits_resumer = false;
    bool ending = false; ///< set where the fiber is destroyed, for ASan: the main loop ends instead of sleeping on
    /// Which threads' caches it fits into: those of the same `thread_state::generation`. Written by who makes it; 0:
    /// none.
    unsigned generation = 0;
    /// The memory for an operation that lies below; null on other allocators' stacks, which are to be given back when
    /// the function has returned. Written by `make_fiber`.
    operation_memory* for_operation = nullptr;
    /// What it is to run, read by its main loop when that begins. Written by `start`; after that `argument` is nobody's,
    /// and a label's place (src/label.hpp), if the portal is given one.
    void (*job)(void*) = nullptr;
    void* argument = nullptr;
    fiber* next = nullptr; ///< in a cache, or among the fibers that are not on the pool's stacks

    fiber* previous = nullptr; ///< among those only
    /// Says that this is the record of a fiber that the library has put on a stack of the pool: what lies at the top of
    /// such a stack may be anything, also the record of a fiber that is listed elsewhere, as it was given an allocator.
    /// Written last when a fiber is made, first when it is destroyed, and not by the constructor: that write would not
    /// be atomic, and `stats` may be looking at it.
    std::uint64_t magic;
    static constexpr std::uint64_t magic_value = 0x67726e626b666272;
    /// For who found it on a stack. What is there instead may be being written by anybody, so ThreadSanitizer is not to
    /// see the first look.
    bool valid() const noexcept { return looks_valid() && __atomic_load_n(&magic, __ATOMIC_ACQUIRE) == magic_value; }
    __attribute__((noinline, no_sanitize("thread"))) bool looks_valid() const noexcept { // the form that clang has, too
        return *const_cast<std::uint64_t const volatile*>(&magic) == magic_value;
    }
    void set_valid(bool is) noexcept { __atomic_store_n(&magic, is ? magic_value : 0, __ATOMIC_RELEASE); }

    void (*release)(fiber&) noexcept = nullptr; ///< null for the library's own pool

    sanitizer::fiber_state sanitizers;

    /// Bytes for the portal that the fiber runs for: so it takes memory where a page is in use anyway. The compiled
    /// part is the same for each Asio, so there is room for the largest of their portals (200 bytes today) and some
    /// more.
    static constexpr std::size_t portal_room = 256, portal_alignment = 16;
    alignas(portal_alignment) unsigned char portal_memory[portal_room];
    static fiber& of_portal(void const* in_memory) noexcept;

    /// On the pool's stacks the fiber doesn't end before it is back.
    operation_memory own_operation_memory;

    /// What valgrind calls the stack (src/valgrind.hpp). Last, so that nothing else has to move for it.
    unsigned valgrind_stack = 0;

    void start(void (*what)(void*), void* with) noexcept {
        job = what;
        argument = with;
        busy.store(true, std::memory_order_relaxed);
    }
    bool is_busy() const noexcept { return busy.load(std::memory_order_relaxed); }
    bool is_out() const noexcept { return (other.load(std::memory_order_relaxed) & in_mark) == 0; }

    /// The place to go on at, on the way in and on the way out; and what is to be kept there after it.
    context itself() const noexcept { return reinterpret_cast<context>(other.load(std::memory_order_relaxed)); }
    context resumer() const noexcept {
        return reinterpret_cast<context>(other.load(std::memory_order_relaxed) - in_mark);
    }
    void is_out_at(context itself) noexcept {
        other.store(reinterpret_cast<std::uintptr_t>(itself), std::memory_order_relaxed);
    }
    void is_in_from(context resumer) noexcept {
        other.store(reinterpret_cast<std::uintptr_t>(resumer) + in_mark, std::memory_order_relaxed);
    }

    char const* stack_bottom() const noexcept { return static_cast<char const*>(stack.sp) - stack.size; }
    /// Is something on this stack, which is the caller's?
    bool holds(void const* address) const noexcept {
        return std::uintptr_t(sanitizer::on_stack(address)) - std::uintptr_t(stack_bottom()) < stack.size;
    }
};

inline fiber& fiber::of_portal(void const* in_memory) noexcept {
    static_assert(std::is_standard_layout_v<fiber>);
    return *reinterpret_cast<fiber*>(std::uintptr_t(in_memory) - offsetof(fiber, portal_memory));
}

/// Make a fiber whose record lies at `where`, above its stack. `release` gives the stack back; null: to the pool.
fiber* make_fiber(boost::context::stack_context stack, void (*release)(fiber&) noexcept, void* where);
void destroy_fiber(fiber& f) noexcept;

/// Where the record lies on a stack of the pool, if a fiber is on it.
inline fiber* fiber_at(void* stack_top) noexcept {
    auto const top = reinterpret_cast<std::uintptr_t>(stack_top);
    return reinterpret_cast<fiber*>((top - sizeof(fiber)) & ~std::uintptr_t(63));
}

/// Every fiber on a stack that some other allocator made.
void for_each_fiber_elsewhere(void (*visit)(fiber&, void*), void* argument) noexcept;

/// Has the frames of a fiber that is out on their way to the cache before it is entered. Where it was out for long, they
/// are not there any more, and the returns through them would wait for one line after the other: with 2,000 fibers that
/// take turns an await is 8% faster, with 10,000 18%; with one it costs nothing that can be measured.
/// Of the fiber of the portal `p`; the compiler must forget that it has looked at it, as in `switch_in`.
template <class Portal> GREENBACK_SWITCH_PATH inline void fetch_frames(Portal const* p) noexcept {
    asm("" : "+r"(p));
    char const* const innermost = static_cast<char const*>(p->own_fiber().itself());
    __builtin_prefetch(innermost);
    __builtin_prefetch(innermost + 64);
    __builtin_prefetch(innermost + 128);
    __builtin_prefetch(innermost + 192);
    __builtin_prefetch(innermost + 256);
    __builtin_prefetch(innermost + 320);
}

/// The resumer's side: run the fiber of the portal `p` until it comes out.
///
/// @param word what `switch_out` returns there. The first time that a fiber goes in it has to be the fiber.
///
/// The compiler must forget what it knows of `p`: what it can compute from it after the switch, it would otherwise keep
/// in registers, which every function on the way in would have to save.
template <class Portal> GREENBACK_SWITCH_PATH inline void switch_in(Portal*& p, void* word) noexcept {
    fiber& f = p->own_fiber();
    void* const kept = sanitizer::before_switch_in(f.sanitizers, f.stack_bottom(), f.stack.size);
    context const fiber_side = jump(f.itself(), word).from;
    asm("" : "+r"(p));
    p->own_fiber().is_out_at(fiber_side);
    sanitizer::after_switch_in(kept);
}

/// The same for a fiber without a portal.
inline void switch_in(fiber& f) noexcept {
    struct nobody {
        fiber& of;
        fiber& own_fiber() const noexcept { return of; }
    } alone{f};
    nobody* p = &alone;
    switch_in(p, &f);
}

/// The fiber's side: go out until somebody goes in again, on whatever thread. @returns the word they bring
GREENBACK_SWITCH_PATH inline void* switch_out(fiber& f) noexcept {
    sanitizer::before_switch_out(f.sanitizers);
    arrival const resumer = jump(f.resumer(), nullptr);
    f.is_in_from(resumer.from);
    sanitizer::after_switch_out(f.sanitizers);
    return resumer.word;
}

} // namespace greenback::detail
