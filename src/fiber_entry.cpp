// SPDX-License-Identifier: MIT
// The first frame of each fiber, in assembler: what call frame information says of it.
//
// That is for an unwinder that comes from the fiber's code. It looks up the caller's registers where
// `jump_fcontext` has saved them when the resumer entered the fiber: the record's first word, `other`, has the address
// of that context, plus `in_mark`. While the fiber is out, `other` is even and that of the fiber's own; then, and for the
// few instructions in which the fiber is in and has not written it yet, there is no caller. An unwinder may come in a
// signal handler, at any of them: whatever `other` is, only what can be read is read.
//
// Registers are where saved_context.hpp says. The caller's stack pointer is above what is saved there, and 128 bytes
// further up if it had left by `jump`, which no call frame information knows of: the instruction that it goes on with
// tells (a program may contain both forms of `jump`, and the resumer's place may be that of a visit, on_task_stack.cpp).
//
// With -flto this file alone is compiled without (CMakeLists.txt): what it defines would not be found.
//
// No exception gets here: the main loop is noexcept, and so is each job. So this decides what is printed, never what
// is run.
//
// What the tools make of it (tried): gdb takes a caller whose stack lies below for a broken stack, as it may on a
// worker thread, unless the frame is called `__morestack`, the name by which it knows stacks that are in pieces. The
// record is found by rbp because valgrind takes no other register in an expression that is not rsp; it aborts
// on DW_OP_const8u and warns of DW_OP_dup, so there are none of those. Who follows frame pointers instead, as
// AddressSanitizer does for allocations, and perf, finds a frame that returns to nowhere, and ends there.

#include "fiber_entry.hpp"

#include <greenback/detail/fiber/fiber.hpp>

#include <cstddef>

namespace {
using greenback::detail::fiber;
static_assert(offsetof(fiber, other) == 0 && fiber::in_mark == 1);
} // namespace

#if defined(GREENBACK_CONTEXT_X86_64)
namespace {
namespace saved = greenback::detail::saved_context;
static_assert(saved::program_counter == 0x40 && saved::size == 0x48 && saved::red_zone == 128);
} // namespace

// Below, "context" is `other` - 1, and DW_OP_breg6 (0x76) 0, DW_OP_deref (0x06) is the address of the record.
asm(R"(
    .pushsection .text
    .p2align 4
    .hidden greenback_fiber_entry
    .globl greenback_fiber_entry
    .type greenback_fiber_entry, @function
greenback_fiber_entry:
    .cfi_startproc
    .cfi_undefined rip
    endbr64
    subq $24, %rsp
    movq %rsp, %rbp
    movq %rsi, 0(%rbp)
    movq $0, 8(%rbp)
    # DW_CFA_def_cfa_expression:
    #   context + 0x48 + (128 if 8 bytes at the program counter are `leaq 128(%rsp), %rsp`, which is
    #   0x00000080'24a48d48; not the program counter but the record is looked at where `other` is even)
    .cfi_escape 0x0f, 44
    .cfi_escape   0x76,0,0x06, 0x06, 0x23,0x47               # record, deref, plus_uconst 0x47
    .cfi_escape   0x76,0,0x06                                # record
    .cfi_escape   0x76,0,0x06, 0x06, 0x23,0x3f, 0x06         # record, deref, plus_uconst 0x3f, deref
    .cfi_escape   0x76,0,0x06, 0x1c                          # record, minus
    .cfi_escape   0x76,0,0x06, 0x06, 0x31, 0x1a              # record, deref, lit1, and
    .cfi_escape   0x1e, 0x22, 0x06                           # mul, plus, deref
    .cfi_escape   0x08,0x80, 0x08,32, 0x24                   # const1u 0x80, const1u 32, shl
    .cfi_escape   0x0c,0x48,0x8d,0xa4,0x24, 0x22             # const4u 0x24a48d48, plus
    .cfi_escape   0x29, 0x37, 0x24, 0x22                     # eq, lit7, shl, plus
    # DW_CFA_expression, each at its place in the context: rbx, rbp, r12 to r15
    .cfi_escape 0x10, 3, 6, 0x76,0,0x06, 0x06, 0x23,0x2f
    .cfi_escape 0x10, 6, 6, 0x76,0,0x06, 0x06, 0x23,0x37
    .cfi_escape 0x10, 12, 6, 0x76,0,0x06, 0x06, 0x23,0x0f
    .cfi_escape 0x10, 13, 6, 0x76,0,0x06, 0x06, 0x23,0x17
    .cfi_escape 0x10, 14, 6, 0x76,0,0x06, 0x06, 0x23,0x1f
    .cfi_escape 0x10, 15, 6, 0x76,0,0x06, 0x06, 0x23,0x27
    # DW_CFA_val_expression for the program counter: the saved one if `other` is odd, else 0
    .cfi_escape 0x16, 16, 14, 0x76,0,0x06, 0x06, 0x23,0x3f, 0x06, 0x76,0,0x06, 0x06, 0x31, 0x1a, 0x1e
    .type __morestack, @function
__morestack:
    call greenback_fiber_main
    ud2
    .cfi_endproc
    .size __morestack, .-__morestack
    .size greenback_fiber_entry, .-greenback_fiber_entry
    .popsection
)");

// Entered on top of a resumer that has left by `jump`, or by a call: as above, its stack pointer may be 128 bytes further
// up than it would be after a return from here, until it has gone on.
asm(R"(
    .pushsection .text
    .p2align 4
    .hidden greenback_visit_entry
    .globl greenback_visit_entry
    .type greenback_visit_entry, @function
greenback_visit_entry:
    .cfi_startproc
    .cfi_undefined rip
    endbr64
    subq $8, %rsp
    # DW_CFA_def_cfa_expression, with DW_OP_breg7 (0x77), which is rsp
    .cfi_escape 0x0f, 21
    .cfi_escape   0x77,16                                    # breg7 16: above the return address
    .cfi_escape   0x77,8, 0x06, 0x06                         # breg7 8, deref, deref: the instruction it returns to
    .cfi_escape   0x08,0x80, 0x08,32, 0x24                   # const1u 0x80, const1u 32, shl
    .cfi_escape   0x0c,0x48,0x8d,0xa4,0x24, 0x22             # const4u 0x24a48d48, plus
    .cfi_escape   0x29, 0x37, 0x24, 0x22                     # eq, lit7, shl, plus
    .cfi_escape 0x10, 16, 2, 0x77,8                          # DW_CFA_expression: the return address is at breg7 8
    call greenback_visit_resumer
    .cfi_undefined rip
    addq $8, %rsp
    ret
    .cfi_endproc
    .size greenback_visit_entry, .-greenback_visit_entry
    .popsection
)");
#elif defined(GREENBACK_CONTEXT_AARCH64)
namespace {
namespace saved = greenback::detail::saved_context;
static_assert(saved::program_counter == 0xa0 && saved::size == 0xb0);
} // namespace

// Below, "context" is `other` - 1, and DW_OP_breg19 (0x83) 0 is the address of the record.
asm(R"(
    .pushsection .text
    .p2align 4
    .hidden greenback_fiber_entry
    .globl greenback_fiber_entry
    .type greenback_fiber_entry, %function
greenback_fiber_entry:
    .cfi_startproc
    .cfi_undefined x30
    mov x19, x1
    mov x29, xzr
    // DW_CFA_def_cfa_expression: context + 0xb0
    .cfi_escape 0x0f, 6, 0x83,0, 0x06, 0x23,0xaf,0x01
    // DW_CFA_expression, each at its place in the context: d8 to d15
    .cfi_escape 0x10, 72, 5, 0x83,0, 0x06, 0x31, 0x1c
    .cfi_escape 0x10, 73, 5, 0x83,0, 0x06, 0x23,0x07
    .cfi_escape 0x10, 74, 5, 0x83,0, 0x06, 0x23,0x0f
    .cfi_escape 0x10, 75, 5, 0x83,0, 0x06, 0x23,0x17
    .cfi_escape 0x10, 76, 5, 0x83,0, 0x06, 0x23,0x1f
    .cfi_escape 0x10, 77, 5, 0x83,0, 0x06, 0x23,0x27
    .cfi_escape 0x10, 78, 5, 0x83,0, 0x06, 0x23,0x2f
    .cfi_escape 0x10, 79, 5, 0x83,0, 0x06, 0x23,0x37
    // x19 to x29
    .cfi_escape 0x10, 19, 5, 0x83,0, 0x06, 0x23,0x3f
    .cfi_escape 0x10, 20, 5, 0x83,0, 0x06, 0x23,0x47
    .cfi_escape 0x10, 21, 5, 0x83,0, 0x06, 0x23,0x4f
    .cfi_escape 0x10, 22, 5, 0x83,0, 0x06, 0x23,0x57
    .cfi_escape 0x10, 23, 5, 0x83,0, 0x06, 0x23,0x5f
    .cfi_escape 0x10, 24, 5, 0x83,0, 0x06, 0x23,0x67
    .cfi_escape 0x10, 25, 5, 0x83,0, 0x06, 0x23,0x6f
    .cfi_escape 0x10, 26, 5, 0x83,0, 0x06, 0x23,0x77
    .cfi_escape 0x10, 27, 5, 0x83,0, 0x06, 0x23,0x7f
    .cfi_escape 0x10, 28, 6, 0x83,0, 0x06, 0x23,0x87,0x01
    .cfi_escape 0x10, 29, 6, 0x83,0, 0x06, 0x23,0x8f,0x01
    // DW_CFA_val_expression for the return address: the saved program counter if `other` is odd, else 0
    .cfi_escape 0x16, 30, 13, 0x83,0, 0x06, 0x23,0x9f,0x01, 0x06, 0x83,0, 0x06, 0x31, 0x1a, 0x1e
    .type __morestack, %function
__morestack:
    bl greenback_fiber_main
    brk #1000
    .cfi_endproc
    .size __morestack, .-__morestack
    .size greenback_fiber_entry, .-greenback_fiber_entry
    .popsection
)");
#endif
