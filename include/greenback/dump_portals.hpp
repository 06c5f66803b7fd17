// SPDX-License-Identifier: MIT
// 9. Seeing the portals of a process: where each waits, and what it is called.
#pragma once

#include <greenback/detail/config.hpp>

#include <cstddef>
#include <iosfwd>
#include <source_location>
#include <span>
#include <typeinfo>

namespace greenback {

/// `suspended`: in an `await_` or `use_portal`, or its task awaits; `running`: on some thread, or entered another portal.
enum class portal_state { suspended, running };

/// What can be said of one portal, at some moment.
struct portal_info {
    portal_state state;
    /// Of the stack it is on, until its function or task ends; then another portal may have it.
    void const* id;
    /// See `label_portal`; null: it has none.
    char const* label;
    /// Its last `await_`: where it waits, unless a coroutine of its task has gone on from there. `line()` is 0 if there
    /// was none yet. For `use_portal` a place in use_portal.hpp, with the operation's type in `function_name()`.
    std::source_location site;
    /// Of its task; null if that can't be told.
    std::type_info const* executor;
    /// In bytes, without the guard.
    std::size_t stack_size;
    /// Of a suspended one, in bytes; 0 if it runs, or waits on a stack that somebody else has made.
    std::size_t stack_used;
    /// Of a suspended one: up to 64 addresses in functions, innermost first; each but the first is where a call returns
    /// to. Valid during the visit. Empty where nothing is known: Linux on x86-64 and AArch64 is known.
    std::span<void* const> backtrace;
};

/// Calls `visit(info, argument)` for each portal of this process.
///
/// All that is visited is collected first, without a lock that a portal needs: so `visit` may await, and make and end
/// portals. What other threads do meanwhile is seen as it was at some moment, each portal for itself.
///
/// @throws std::bad_alloc · what `visit` throws
///
/// Thread safety: any thread, any time; not in a signal handler.
/// Cost: 3 us for a suspended portal in ten calls (g++ 12 -O2, of 20,000 portals), and a look at every stack there ever
///     was. Making and switching portals costs nothing for it.
/// Example: `greenback::for_each_portal([](greenback::portal_info const& p, void* n) { ++*static_cast<int*>(n); }, &n);`
void for_each_portal(void (*visit)(portal_info const&, void*), void* argument);

/// Writes a paragraph about each portal: its label, what it waits for and where, its stack and executor, and if it is
/// suspended its backtrace, by the names that the program's symbols give.
///
/// With CMake's option GREENBACK_LIBBACKTRACE it has file and line, and functions that were inlined, too. What has no
/// name, as in a program that was stripped, is told as `module+0x1234`, which `addr2line -Cfpe module 0x1234` explains
/// where there is a copy with symbols. Functions of the library, of Asio and of the standard library are only counted.
///
/// @throws what `out` throws · std::bad_alloc
///
/// Thread safety: any thread, any time; not in a signal handler, see `dump_portals_on`. The stream may await.
/// Cost: as `for_each_portal`, and looking up the names: 100 ms for 20,000 portals that wait in the same places.
///     In a portal it works on the task's stack (`on_task_stack`), but for the writing.
/// Example: `greenback::dump_portals(std::cerr);`
void dump_portals(std::ostream& out);

/// Names the portal in force, in dumps, in gdb and in ThreadSanitizer's reports; the last call counts. Without a portal
/// it does nothing.
///
/// @pre `literal` stays as it is for as long as the program runs. Each that is different takes 8 bytes for good.
///
/// Thread safety: concerns the calling code's portal.
/// Cost: a search through the labels in use: with a hundred of them, up to 30 ns.
/// Example: `greenback::label_portal("mail session");`
void label_portal(char const* literal) noexcept;

/// From now on, `signal` writes what `dump_portals` writes to stderr: `kill -USR1 pid`. For a program that hangs; as
/// SIGQUIT does with Go and Java, and Python's `faulthandler` with the signal of your choice.
///
/// The signal's handler only wakes a thread, started here, which does the work: so it works however the program's own
/// threads are stuck, and the signal may interrupt anything. In a child of `fork()` the signal does nothing until this is
/// called there.
///
/// @throws std::system_error if there is no such signal, it is that of a fault (SIGSEGV …), or no thread can be started
///
/// Thread safety: any thread; again, for the same or another signal, it adds that.
/// Cost: one thread that sleeps.
/// Example: `greenback::dump_portals_on(SIGUSR1);`
void dump_portals_on(int signal);

} // namespace greenback
