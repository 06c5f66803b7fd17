// SPDX-License-Identifier: MIT
// Entering a context of Boost.Context's: without a call where the processor and its calling convention are known, and
// by the call that works everywhere beside it.
#pragma once

#include <greenback/detail/config.hpp>

#include <boost/context/detail/fcontext.hpp>

// Enter a context by a jump instead of a call? See `jump` below. Not with shadow stacks, which want every return to
// match a call, and not where the registers a call may change are not listed below.
#if defined(__x86_64__) && defined(__ELF__) && !defined(__APX_F__) && !(defined(__CET__) && (__CET__ & 2)) && \
    !defined(__ILP32__) && !defined(GREENBACK_PLAIN_SWITCH)
#define GREENBACK_JUMP_WITHOUT_CALL 1
#endif

// Where functions have no call frame information there is none to correct. Of that clang's predefined macros say nothing:
// with its -fno-asynchronous-unwind-tables, a program defines GREENBACK_NO_UNWIND_TABLES.
#if defined(__GCC_HAVE_DWARF2_CFI_ASM) && !defined(GREENBACK_NO_UNWIND_TABLES)
#define GREENBACK_NO_CALLER_FROM_HERE ".cfi_remember_state\n\t.cfi_undefined rip\n\t" // or GREENBACK_NO_UNWIND_TABLES
#define GREENBACK_CALLER_AS_BEFORE ".cfi_restore_state\n\t"
#else
#define GREENBACK_NO_CALLER_FROM_HERE ""
#define GREENBACK_CALLER_AS_BEFORE ""
#endif

namespace greenback::detail {

/// A place on a stack where to continue. Its address is even.
using context = boost::context::detail::fcontext_t;

#if defined(GREENBACK_JUMP_WITHOUT_CALL)
/// Taken in C++: since Boost 1.87 the function of this name is a C++ one, and the assembler's is hidden. In memory that
/// is addressed by `rip`, as the jump below has moved the stack pointer when it is read.
constexpr auto* jump_fcontext_address = &boost::context::detail::jump_fcontext;
#endif

/// What somebody brings who continues here: where they stand, and a word.
struct arrival {
    context from;
    void* word;
};

/// Continue at `to`, with a word for whoever is there; returns when somebody continues here.
///
/// `jump_fcontext` leaves by an indirect jump, not by a return. *Calling* it therefore pushes an entry on the
/// processor's return predictor that no return ever takes, and every return of the surrounding code after that is
/// mispredicted. So it is entered without a call: push the return address by hand and jump. 128 bytes are left alone
/// first, because a leaf function may keep its locals there (System V ABI, the red zone).
///
/// While the stack pointer is moved, the compiler's call frame information is wrong where it counts from that register,
/// which it tells nobody. A profiler's signal may come then, and libgcc's unwinder would look for code at whatever it
/// takes for the caller's address. So the information says meanwhile that there is no caller: such a backtrace ends here.
/// Whoever comes from the other stack looks up the byte before the return address (as unwinders do, since a call may be
/// a function's last instruction): a `nop` that is never run, for which the compiler's information stands. gdb is shown
/// the place behind the last instruction, and looks up the byte before that; so it stands for this one, too.
GREENBACK_SWITCH_PATH inline arrival jump(context to, void* word) noexcept {
#if defined(GREENBACK_JUMP_WITHOUT_CALL)
    arrival arrived;
    // `inline`: counted as one instruction where the compiler asks how large a function is that it might inline.
    asm volatile inline("leaq -128(%%rsp), %%rsp\n\t" GREENBACK_NO_CALLER_FROM_HERE //
                        "leaq 1f(%%rip), %%rax\n\t"
                        "pushq %%rax\n\t"
                        "jmp *%[switcher]\n\t" GREENBACK_CALLER_AS_BEFORE //
                        "nop\n"
                        "1:\n\t" GREENBACK_NO_CALLER_FROM_HERE                                    //
                        ".byte 0x48, 0x8d, 0xa4, 0x24, 0x80, 0, 0\n\t" GREENBACK_CALLER_AS_BEFORE //
                        ".byte 0" // leaq 128(%rsp), %rsp: see above
                        : "=&a"(arrived.from), "=&d"(arrived.word), "+D"(to), "+S"(word)
                        : [switcher] "m"(jump_fcontext_address)
                        : "rcx", "r8", "r9", "r10", "r11", "cc", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",
                          "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",
                          "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)"
#if defined(__MMX__)
                          ,
                          "mm0", "mm1", "mm2", "mm3", "mm4", "mm5", "mm6", "mm7"
#endif
#if defined(__AVX512F__)
                          ,
                          "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",
                          "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k0", "k1", "k2", "k3", "k4", "k5",
                          "k6", "k7"
#endif
    );
    return arrived;
#else
    auto const arrived = boost::context::detail::jump_fcontext(to, word);
    return {arrived.fctx, arrived.data};
#endif
}

/// The same, but `function` is called there first, as if whoever continues there did so, with what this brings for an
/// argument. What it returns is what they are brought.
inline arrival
jump_on_top(context to, void* word,
            boost::context::detail::transfer_t (*function)(boost::context::detail::transfer_t)) noexcept {
    auto const arrived = boost::context::detail::ontop_fcontext(to, word, function);
    return {arrived.fctx, arrived.data};
}

} // namespace greenback::detail
