// SPDX-License-Identifier: MIT
// 1. Where a synchronous call chain lives: how large its stack is, what guards it, and what happens when there is none
// left.
//
//      high addresses   ┌──────────────────┐ ← top: the first call of the chain starts here
//                       │ stack            │   pages are committed when first touched
//                       ├──────────────────┤
//      low addresses    │ guard, 16 KiB    │   touching it is SIGSEGV, never a neighbour's memory
//                       └──────────────────┘
#pragma once

#include <greenback/detail/config.hpp>

#include <greenback/stack_use.hpp> // remaining_stack, stack_high_water, report_stack_overflow

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
/// Cost: what threads keep is of the wrong size then, and goes back to the pool when each next begins a portal.
/// Example: `greenback::default_stack_size(1024 * 1024);  // 1 MiB, first line of main: the parser recurses`
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
/// Off by default: a stack without a guard turns an overflow into silent damage of another task's stack, so the request
/// fails with `stack_exhausted` instead. Where it is switched on, the first such stack is announced by a log line.
///
/// Thread safety: may be called at any time from any thread.
void allow_unguarded_stacks(bool allow) noexcept;

/// Receives one line of text, without a line feed at its end.
using log_handler = void (*)(char const* line) noexcept;

/// Replaces the destination of the library's rare log lines: at most one in a process's life for each `stack_limit` and
/// one for unguarded stacks.
///
/// @param handler called on the thread that met the condition, with no lock held; nullptr restores the initial one,
///     which writes to stderr.
/// @returns the handler so far, nullptr for the initial one.
///
/// Thread safety: may be called at any time from any thread; a line being written meanwhile may go to either handler.
log_handler set_log_handler(log_handler handler) noexcept;

/// A stack allocator in the sense of Boost.Context over the process-wide pool of guarded, lazily committed stacks.
///
/// Sizes are rounded up to whole pages, then to at most a quarter more than asked, at least 16 KiB: equal requests, and
/// nearly equal ones, share their stacks. A stack that is given back is the next to be handed out. Of each size, up to
/// 256 idle stacks, and no more than 128 MiB, keep their memory; the pages of the others go back to the system at once.
/// Their addresses stay reserved for the life of the process.
///
/// Thread safety: every member may be called at any time from any thread, a stack may be given back on any thread, and
///     a child of fork() may go on using the pool (stacks in use by the parent's other threads stay so in the child).
/// Cost: one uncontended lock; a stack never used before also a system call for its guard, about 1 µs.
/// Example: `co_await with_portal_run_sync(std::allocator_arg, greenback::pooled_stack(4 << 20), parse, input);`
class pooled_stack {
public:
    /// What Boost's own allocators publish under this name; all sizes in bytes.
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

    /// @returns a stack whose `sp` is its highest address, page aligned, and whose `size` is the bytes that may be used
    ///     below it.
    /// @throws stack_exhausted
    boost::context::stack_context allocate() const;

    /// @pre `stack` came from `allocate()` of any `pooled_stack`, and nothing runs on it any more.
    void deallocate(boost::context::stack_context& stack) const noexcept;

private:
    std::size_t size_ = 0; // as asked for; 0: the default. Written by the constructor only
};

} // namespace greenback
