// SPDX-License-Identifier: MIT
//
// Failures of the system and of memory that the program makes itself: now and then, and only where they have a defined
// meaning. Each is counted.
//
// - Memory: `operator new` throws, in a `memory_window` alone. That is a stretch of code on one thread that does not
//   suspend: the synchronous code's own containers and strings, the making of a coroutine, of a portal, of a stream's
//   buffers. Not where Asio starts an operation or a task: there an exception leaves run(), or before Asio 1.24 ends the
//   program, with greenback as without it (see docs/pitfalls.md, "Initiations that throw").
// - Stacks: mmap and madvise fail for stacks (MAP_STACK, guards); and `failing_stack` throws, or makes each stack anew.
// - Descriptors: `epoll_ctl` fails with ENOMEM or ENOSPC for a socket that is registered, `accept` with EMFILE or
//   ECONNABORTED; and `descriptor_shortage` lowers RLIMIT_NOFILE for a moment, so that every new descriptor is refused.
//
// The functions of libc are exchanged by the linker (--wrap) for what is linked into this program: greenback and Asio, not
// for libc itself, nor for a sanitizer.
#pragma once

#include <cstddef>

#include <boost/context/stack_context.hpp>

namespace soak {

/// From now on failures are made. Not before: a program that can't even start shows nothing.
void make_failures(bool on) noexcept;

/// Has `operator new` thrown on purpose so far?
bool memory_failures_injected() noexcept;

/// While alive, one of so many allocations of this thread fails. Nothing may suspend meanwhile.
class memory_window {
public:
    explicit memory_window(unsigned one_of = 8) noexcept;
    memory_window(memory_window const&) = delete;
    ~memory_window();
};

/// While alive no new descriptor is to be had, in the whole process.
class descriptor_shortage {
public:
    descriptor_shortage() noexcept;
    descriptor_shortage(descriptor_shortage const&) = delete;
    ~descriptor_shortage();
};

/// A stack allocator that has no stack now and then, and otherwise one of the pool's, of a size drawn.
class failing_stack {
public:
    failing_stack();
    boost::context::stack_context allocate() const;
    void deallocate(boost::context::stack_context& stack) const noexcept;

private:
    std::size_t size_;
};

} // namespace soak
