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

#include <greenback/detail/exception_state.hpp>

#include <boost/context/detail/fcontext.hpp>
#include <boost/context/stack_context.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#if defined(__SANITIZE_ADDRESS__)
#define GREENBACK_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GREENBACK_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define GREENBACK_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define GREENBACK_TSAN 1
#endif
#endif

#if defined(GREENBACK_ASAN)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(GREENBACK_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

// Enter a context by a jump instead of a call? See `jump` below. Not with shadow stacks, which want every return to
// match a call, and not where the registers a call may change are not listed below.
#if defined(__x86_64__) && defined(__ELF__) && !defined(__APX_F__) && !(defined(__CET__) && (__CET__ & 2)) && \
    !defined(__ILP32__) && !defined(GREENBACK_PLAIN_SWITCH)
#define GREENBACK_JUMP_WITHOUT_CALL 1
#endif

namespace greenback::detail {

class portal_base;

/// Room for what an operation keeps until it is over: a fiber has some for the operation that is waited for. It is not
/// on the fiber's stack, because an operation may keep it longer than it should, even for longer than the portal lives;
/// and whoever has an allocator for it may ask for some when the fiber is gone and something else lies there. So only
/// the very value `free` says that it can be had.
struct operation_memory {
    alignas(16) unsigned char bytes[256];
    /// Written by whoever takes it and gives it back, on whatever thread, and where a fiber begins and ends.
    std::atomic<std::uint32_t> state;
    static constexpr std::uint32_t none = 0, free = 0x6672656d, in_use = 0x75736564;

    bool take() noexcept {
        return state.load(std::memory_order_relaxed) == free &&
               state.exchange(in_use, std::memory_order_acquire) == free;
    }
    void give_back() noexcept { state.store(free, std::memory_order_release); }
    bool is_in_use() const noexcept { return state.load(std::memory_order_acquire) == in_use; }
};

inline constinit operation_memory no_operation_memory = {{}, {operation_memory::none}};

/// The record of a fiber, at the top of its stack. The layout is the same in every build, sanitized or not.
struct fiber {
    /// Where the other side continues: the resumer while the fiber runs, the fiber itself while it is out. The address
    /// of a context is even; the resumer's is kept with `in_mark` added, which tells that the fiber is in. Where the
    /// address lies would not tell: what runs on the fiber may have entered a stack of somebody else's, and await
    /// there. Atomic because `stats` may look; there is nobody else.
    std::atomic<std::uintptr_t> other{0};
    static constexpr std::uintptr_t in_mark = 1;
    void (*job)(void*) = nullptr;
    void* argument = nullptr;
    fiber* next = nullptr;     ///< in a cache, or among the fibers that are not on the pool's stacks
    fiber* previous = nullptr; ///< among those only
    /// Has it a job? If not, it sleeps in its main loop: in a cache, or held by an idle `portal`. Set by whoever gives
    /// it one, reset by its main loop when the job has returned.
    std::atomic<bool> busy{false};
    /// Which threads' caches it fits into: those of the same `thread_state::generation`. Written by who makes it; 0:
    /// none.
    unsigned generation = 0;
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

    bool ending = false; ///< set where the fiber is destroyed, for ASan: the main loop ends instead of sleeping on

    /// The stack, and how it is given back. `release` is null for the library's own pool.
    boost::context::stack_context stack{};
    void (*release)(fiber&) noexcept = nullptr;

    // Sanitizers: the fiber's own fake stack and TSan state, and the resumer's, learned on every way in.
    void* asan_fake_stack = nullptr;
    void const* resumer_bottom = nullptr;
    std::size_t resumer_size = 0;
    void* tsan_fiber = nullptr;
    void* tsan_resumer = nullptr;

    /// For the portal that the fiber runs for: so it takes memory where a page is in use anyway.
    alignas(16) unsigned char portal_memory[336];
    static fiber& of_portal(void const* in_memory) noexcept;

    /// On the pool's stacks the fiber doesn't end before it is back.
    operation_memory own_operation_memory;
    /// The one above; on other allocators' stacks, which are to be given back when the function has returned, one that
    /// is never free. Written by `make_fiber`.
    operation_memory* for_operation = nullptr;

    void start(void (*what)(void*), void* with) noexcept {
        job = what;
        argument = with;
        busy.store(true, std::memory_order_relaxed);
    }
    bool is_busy() const noexcept { return busy.load(std::memory_order_relaxed); }
    bool is_out() const noexcept { return (other.load(std::memory_order_relaxed) & in_mark) == 0; }

    /// The place to go on at, on the way in and on the way out; and what is to be kept there after it.
    boost::context::detail::fcontext_t itself() const noexcept {
        return reinterpret_cast<boost::context::detail::fcontext_t>(other.load(std::memory_order_relaxed));
    }
    boost::context::detail::fcontext_t resumer() const noexcept {
        return reinterpret_cast<boost::context::detail::fcontext_t>(other.load(std::memory_order_relaxed) - in_mark);
    }
    void is_out_at(boost::context::detail::fcontext_t itself) noexcept {
        other.store(reinterpret_cast<std::uintptr_t>(itself), std::memory_order_relaxed);
    }
    void is_in_from(boost::context::detail::fcontext_t resumer) noexcept {
        other.store(reinterpret_cast<std::uintptr_t>(resumer) + in_mark, std::memory_order_relaxed);
    }

    char const* stack_bottom() const noexcept { return static_cast<char const*>(stack.sp) - stack.size; }
    bool holds(void const* address) const noexcept {
        return std::uintptr_t(address) - std::uintptr_t(stack_bottom()) < stack.size;
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

#if defined(GREENBACK_JUMP_WITHOUT_CALL)
/// Taken in C++: since Boost 1.87 the function of this name is a C++ one, and the assembler's is hidden. In memory that
/// is addressed by `rip`, as the jump below has moved the stack pointer when it is read.
constexpr auto* jump_fcontext_address = &boost::context::detail::jump_fcontext;
#endif

/// Continue at `to`; returns, when somebody continues here, where that somebody stands.
///
/// `jump_fcontext` leaves by an indirect jump, not by a return. *Calling* it therefore pushes an entry on the
/// processor's return predictor that no return ever takes, and every return of the surrounding code after that is
/// mispredicted. So it is entered without a call: push the return address by hand and jump. 128 bytes are left alone
/// first, because a leaf function may keep its locals there (System V ABI, the red zone).
[[gnu::always_inline]] inline boost::context::detail::fcontext_t jump(boost::context::detail::fcontext_t to,
                                                                      void* data) noexcept {
#if defined(GREENBACK_JUMP_WITHOUT_CALL)
    boost::context::detail::fcontext_t from;
    asm volatile("leaq -128(%%rsp), %%rsp\n\t"
                 "leaq 1f(%%rip), %%rax\n\t"
                 "pushq %%rax\n\t"
                 "jmp *%[switcher]\n"
                 "1:\n\t"
                 "leaq 128(%%rsp), %%rsp"
                 : "=&a"(from), "+D"(to), "+S"(data)
                 : [switcher] "m"(jump_fcontext_address)
                 : "rcx", "rdx", "r8", "r9", "r10", "r11", "cc", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",
                   "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "st",
                   "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)"
#if defined(__MMX__)
                   ,
                   "mm0", "mm1", "mm2", "mm3", "mm4", "mm5", "mm6", "mm7"
#endif
#if defined(__AVX512F__)
                   ,
                   "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26",
                   "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#endif
    );
    return from;
#else
    return boost::context::detail::jump_fcontext(to, data).fctx;
#endif
}

/// The resumer's side: run the fiber of the portal `p` until it comes out.
///
/// The compiler must forget what it knows of `p`: what it can compute from it after the switch, it would otherwise keep
/// in registers, which every function on the way in would have to save.
template <class Portal> [[gnu::always_inline]] inline void switch_in(Portal*& p) noexcept {
    fiber& f = p->home();
#if defined(GREENBACK_ASAN)
    void* fake_stack = nullptr;
    __sanitizer_start_switch_fiber(&fake_stack, f.stack_bottom(), f.stack.size);
#endif
#if defined(GREENBACK_TSAN)
    // The current TSan fiber is asked each time: the resumer may itself be a fiber, and another one every time.
    f.tsan_resumer = __tsan_get_current_fiber();
    if (!f.tsan_fiber)
        f.tsan_fiber = __tsan_create_fiber(0);
    __tsan_switch_to_fiber(f.tsan_fiber, 0);
#endif
    boost::context::detail::fcontext_t const fiber_side = jump(f.itself(), &f);
    asm("" : "+r"(p));
    p->home().is_out_at(fiber_side);
#if defined(GREENBACK_ASAN)
    __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#endif
}

/// The same for a fiber without a portal.
inline void switch_in(fiber& f) noexcept {
    struct nobody {
        fiber& of;
        fiber& home() const noexcept { return of; }
    } alone{f};
    nobody* p = &alone;
    switch_in(p);
}

/// The fiber's side: go out until somebody goes in again, on whatever thread.
[[gnu::always_inline]] inline void switch_out(fiber& f) noexcept {
#if defined(GREENBACK_ASAN)
    __sanitizer_start_switch_fiber(&f.asan_fake_stack, f.resumer_bottom, f.resumer_size);
#endif
#if defined(GREENBACK_TSAN)
    __tsan_switch_to_fiber(f.tsan_resumer, 0);
#endif
    f.is_in_from(jump(f.resumer(), nullptr));
#if defined(GREENBACK_ASAN)
    __sanitizer_finish_switch_fiber(f.asan_fake_stack, &f.resumer_bottom, &f.resumer_size);
#endif
}

} // namespace greenback::detail
