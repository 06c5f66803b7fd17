// SPDX-License-Identifier: MIT
// Where Boost.Context's `jump_fcontext` keeps the registers of who has left: for whoever reads the stack of a fiber that
// is out. Taken from its sources (boostorg/context, src/asm/jump_{x86_64_sysv,arm64_aapcs}_elf_gas.S; the same from 1.81
// to 1.88); a test finds known values there.
#pragma once

#include <cstddef>
#include <cstdint>

// Which of them this is; with neither, nothing is known.
#if defined(__ELF__) && defined(__x86_64__) && !defined(__ILP32__)
#define GREENBACK_CONTEXT_X86_64 1
#elif defined(__ELF__) && defined(__aarch64__) && !defined(__ILP32__)
#define GREENBACK_CONTEXT_AARCH64 1
#endif
#if defined(GREENBACK_CONTEXT_X86_64) || defined(GREENBACK_CONTEXT_AARCH64)
#define GREENBACK_CONTEXT_KNOWN 1
#endif

namespace greenback::detail::saved_context {

/// A register, by its number in DWARF, and its place from the address of the context.
struct place {
    std::uint8_t register_number;
    std::uint8_t offset;
};

#if defined(GREENBACK_CONTEXT_X86_64)
inline constexpr std::uint8_t stack_pointer = 7, register_count = 17;
inline constexpr place places[] = {{3, 0x30}, {6, 0x38}, {12, 0x10}, {13, 0x18}, {14, 0x20}, {15, 0x28}};
inline constexpr std::size_t program_counter = 0x40, size = 0x48;

/// `jump` (platform/jump.hpp) leaves the red zone alone by an instruction that no call frame information knows of, and
/// takes that back by this one, `leaq 128(%rsp), %rsp`, which is the next to run where it has left.
inline constexpr std::uint8_t red_zone_back[] = {0x48, 0x8d, 0xa4, 0x24, 0x80, 0, 0, 0};
inline constexpr std::size_t red_zone = 128;
#elif defined(GREENBACK_CONTEXT_AARCH64)
inline constexpr std::uint8_t stack_pointer = 31, register_count = 32;
// The lower halves of the vector registers, which lie at 0x00, are of no use for finding frames.
inline constexpr place places[] = {{19, 0x40}, {20, 0x48}, {21, 0x50}, {22, 0x58}, {23, 0x60}, {24, 0x68},
                                   {25, 0x70}, {26, 0x78}, {27, 0x80}, {28, 0x88}, {29, 0x90}, {30, 0x98}};
inline constexpr std::size_t program_counter = 0xa0, size = 0xb0;
#endif

} // namespace greenback::detail::saved_context
