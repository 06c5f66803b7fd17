// SPDX-License-Identifier: MIT
// 2. How much of a stack is left, how much was ever used, and what is said when there is no more.
#pragma once

#include <greenback/detail/config.hpp>

#include <cstddef>

namespace greenback {

/// How many bytes are left below the caller on the stack of the portal it runs on.
///
/// For recursive code that would rather fail than overflow. An allocator that counts its guard in the size of a stack,
/// as Boost's `protected_fixedsize_stack` does, leaves a page less than this says.
///
/// @returns the bytes down to the guard; off every portal `SIZE_MAX`: nothing is known of that stack, and code that
///     asks whether there is enough goes on as it would without asking.
///
/// Thread safety: answers for the calling code.
/// Cost: a few loads.
/// Example: `if (greenback::remaining_stack() < 32 * 1024) throw parse_error("nested too deeply");`
std::size_t remaining_stack() noexcept;

/// Whether `stack_high_water` remembers what was on pages that are given back to the system. Off at first.
///
/// Switching it on starts with the pages that have memory at that moment; so do it before the first portal, to measure
/// all of them, or in a fresh process, to measure a certain part of the work.
///
/// Thread safety: may be called at any time from any thread.
/// Cost: while on, some system calls whenever a stack's pages are given back or a stack goes back to an allocator other
///     than `pooled_stack`. Making, switching and ending portals costs nothing for it, on or off.
void measure_stack_use(bool on) noexcept;

/// How much of its stack the portal that went deepest has used: for choosing a size.
///
/// The kernel is asked which pages were ever touched, so nothing is missed between two looks, what portals do at this
/// moment counts, and the result is in whole pages, the record at the top of each stack included (less than a page).
/// What another allocator's stack was used for before it was a stack counts as well.
///
/// @returns bytes: of all stacks that have their pages, and, since `measure_stack_use(true)`, of all that had them. 0
///     if there were none, or where the system doesn't tell (Linux does, by /proc/self/pagemap).
///
/// Thread safety: may be called at any time from any thread.
/// Cost: some system calls, a few microseconds, for every stack there ever was.
/// Example: `std::clog << "deepest portal: " << greenback::stack_high_water() / 1024 << " KiB\n";`
std::size_t stack_high_water() noexcept;

/// From now on, an overflow of a portal's stack says so on stderr, before the process dies of it:
/// the size of that stack, the file and line of the portal's last `await_`, and how to have a larger one.
///
/// It installs a handler for SIGSEGV and SIGBUS, and on each thread an alternate signal stack, unless it has one. After
/// the line is written, the handler that was there before gets the fault, by running the faulting instruction again:
/// the core dump, or the sanitizer's report, is what it would have been. Every other fault goes to that handler at
/// once.
///
/// Call it first thing in `main`. A thread is prepared when it first has to do with portals; one that was before this
/// call, when it next begins a portal. A thread that then only goes on with portals begun elsewhere dies without a
/// word. A handler that is installed later, in place of this one, gets all faults. Once on, it stays on.
///
/// Thread safety: may be called at any time from any thread; again, it prepares the calling thread only.
/// Cost: 128 KiB of address space per thread, and nothing on the way in or out of a portal.
/// Example: `int main() { greenback::report_stack_overflow(); ... }`
void report_stack_overflow() noexcept;

} // namespace greenback
