// SPDX-License-Identifier: MIT
//
// Where a synchronous call chain lives: how large its stack is, what guards it, and what happens when there
// is none left.
//
//      high addresses   ┌──────────────────┐ ← top: the first call of the chain starts here
//                       │ stack            │   pages are committed when first touched
//                       ├──────────────────┤
//      low addresses    │ guard, 16 KiB    │   touching it is SIGSEGV, never a neighbour's memory
//                       └──────────────────┘
#pragma once

#include <greenback/detail/config.hpp>

#include <boost/context/stack_context.hpp>

#include <cstddef>
#include <new>

namespace greenback {

/// The size that a stack has where nobody asked for another one.
///
/// @returns the usable bytes, guard excluded. It starts as the build option GREENBACK_DEFAULT_STACK_SIZE:
///     512 KiB unless set, 1 MiB in AddressSanitizer builds.
///
/// Thread safety: may be called at any time from any thread.
/// Cost: one relaxed atomic load.
std::size_t default_stack_size() noexcept;

/// Sets the size of the stacks of portals that begin from now on, on every thread; those that exist keep theirs.
///
/// A large value is cheap: memory is committed page by page as the calls go deeper, and what is merely
/// reserved costs about 2 bytes of page tables per KiB.
///
/// @param bytes rounded up, see `pooled_stack`; 0 restores the build's own default.
///
/// Thread safety: may be called at any time from any thread.
/// Example: `greenback::default_stack_size(1024 * 1024);  // first line of main: the parser recurses`
void default_stack_size(std::size_t bytes) noexcept;

/// What stood in the way of another stack.
enum class stack_limit {
    address_space, ///< RLIMIT_AS (`ulimit -v`)
    data_segment,  ///< RLIMIT_DATA (`ulimit -d`), in which Linux counts stacks since 4.7
    mapping_count, ///< vm.max_map_count; only where guards take a mapping each, that is before Linux 6.13
    memory,        ///< the kernel refused for another reason, such as strict overcommit
    size           ///< the size asked for is larger than any stack can be
};

/// Thrown where a stack is needed and none can be had. Nothing is lost: the same request may succeed later.
class stack_exhausted : public std::bad_alloc {
public:
    explicit stack_exhausted(stack_limit limit) noexcept : limit_(limit) {}
    ~stack_exhausted() override;

    /// Names the limit and what to do about it.
    char const* what() const noexcept override;

    /// For programs that react differently to different limits.
    stack_limit limit() const noexcept { return limit_; }

private:
    stack_limit limit_; // written by the constructor only
};

/// Whether a stack may be handed out although its guard could not be made.
///
/// Off by default: a stack without a guard turns an overflow into silent damage of another task's stack, so
/// the request fails with `stack_exhausted` instead. Where it is switched on, the first such stack is
/// announced by a log line.
///
/// Thread safety: may be called at any time from any thread.
void allow_unguarded_stacks(bool allow) noexcept;

/// Receives one line of text, without a line feed at its end.
using log_handler = void (*)(char const* line) noexcept;

/// Replaces the destination of the library's rare log lines: at most one in a process's life for each
/// `stack_limit` and one for unguarded stacks.
///
/// @param handler called on the thread that met the condition, with no lock held; nullptr restores the
///     initial one, which writes to stderr.
/// @returns the handler so far, nullptr for the initial one.
///
/// Thread safety: may be called at any time from any thread; a line being written meanwhile may go to either
/// handler.
log_handler set_log_handler(log_handler handler) noexcept;

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
/// if
///     there were none, or where the system doesn't tell (Linux does, by /proc/self/pagemap).
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

/// A stack allocator in the sense of Boost.Context over the process-wide pool of guarded, lazily committed
/// stacks.
///
/// Sizes are rounded up to whole pages, then to at most a quarter more than asked, at least 16 KiB: equal
/// requests, and nearly equal ones, share their stacks. A stack that is given back is the next to be handed
/// out. Up to 256 idle stacks of a size, and no more than 128 MiB, keep their memory; the pages of the others
/// go back to the system at once. Their addresses stay reserved for the life of the process.
///
/// Thread safety: every member may be called at any time from any thread, a stack may be given back on any
///     thread, and a child of fork() may go on using the pool (stacks in use by the parent's other threads
///     stay so in the child).
/// Cost: one uncontended lock; a stack never used before also a system call for its guard, about 1 µs.
/// Example: `co_await with_portal_run_sync(std::allocator_arg, greenback::pooled_stack(4 << 20), parse, input);`
class pooled_stack {
public:
    /// What Boost's own allocators publish under this name.
    struct traits_type {
        static bool is_unbounded() noexcept { return false; }
        static std::size_t page_size() noexcept;
        static std::size_t default_size() noexcept { return default_stack_size(); }
        static std::size_t minimum_size() noexcept;
        static std::size_t maximum_size() noexcept;
    };

    /// Stacks of `default_stack_size()` as it is when `allocate` is called.
    pooled_stack() noexcept = default;

    /// Stacks of at least `size` bytes; 0 means the default size.
    explicit pooled_stack(std::size_t size) noexcept : size_(size) {}

    /// @returns a stack whose `sp` is its highest address, page aligned, and whose `size` is what may be used
    ///     below it.
    /// @throws stack_exhausted
    boost::context::stack_context allocate() const;

    /// @pre `stack` came from `allocate()` of any `pooled_stack`, and nothing runs on it any more.
    void deallocate(boost::context::stack_context& stack) const noexcept;

private:
    std::size_t size_ = 0; // as asked for; 0: the default. Written by the constructor only
};

} // namespace greenback
