// SPDX-License-Identifier: MIT
// Making and ending fibers, and what they do in between: everything that is not on the path of an await.

#include <greenback/detail/fiber/fiber.hpp>

#include "debug_layout.hpp"
#include "fiber_end.hpp"
#include "fiber_entry.hpp"
#include "fibers_elsewhere.hpp"
#include "hold_across_fork.hpp"
#include "never_destroyed.hpp"
#include "valgrind.hpp"

#include <greenback/detail/fiber/stack_pool.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <mutex>
#include <new>
#include <utility>

/// Where a fiber begins, sleeps between two jobs, and ends. No exception leaves it: what says who has called it
/// (fiber_entry.cpp) is for backtraces alone.
extern "C" [[gnu::used, gnu::noinline]] void greenback_fiber_main(boost::context::detail::transfer_t from) noexcept {
    namespace sanitizer = greenback::detail::sanitizer;
    auto& f = *static_cast<greenback::detail::fiber*>(from.data);
    f.is_in_from(from.fctx);
    sanitizer::after_first_switch_in(f.sanitizers);
    do {
        f.job(f.argument);
        sanitizer::name(f.sanitizers, sanitizer::portal_name); // a label was this portal's
        f.busy.store(false, std::memory_order_relaxed);
        switch_out(f);
    } while (!sanitizer::ends_fibers || !f.ending);
    sanitizer::before_last_switch_out(f.sanitizers);
    greenback::detail::jump(f.resumer(), nullptr);
    __builtin_unreachable();
}

namespace greenback::detail {
namespace {

/// Lets a fiber leave its main loop where a sanitizer needs that. What is left of it is a stack and what gives it back.
void end_fiber(fiber& f) noexcept {
    if (sanitizer::must_go_out_for_good(f.sanitizers)) {
        f.ending = true;
        switch_in(f);
    }
    sanitizer::forget(f.sanitizers);
    valgrind::forget_stack(f.valgrind_stack);
    f.own_operation_memory.state.store(operation_memory::none, std::memory_order_relaxed);
    f.set_valid(false);
}

// ---- fibers whose end has to wait ----------------------------------------------------------------------------------
//
// An operation should give the fiber's memory for it back before it completes. One that doesn't may still hold it
// when the fiber's stack is to be given back: then the fiber is put aside here, until somebody looks again.

struct waiting_fibers : std::mutex {
    std::atomic<fiber*> first{nullptr}; // linked by `argument`, as they have no job. Written with this locked
};

constinit never_destroyed<waiting_fibers> waiting;

/// @returns whether it has been put aside
bool must_wait(fiber& f) noexcept {
    if (!f.own_operation_memory.is_in_use()) [[likely]]
        return false;
    std::scoped_lock lock(*waiting);
    f.argument = waiting->first.load(std::memory_order_relaxed);
    waiting->first.store(&f, std::memory_order_relaxed);
    return true;
}

[[maybe_unused]] int const across_fork = hold_across_fork<waiting>();

/// Has every program with fibers contain what debuggers look for, also where it takes the library from an archive.
[[gnu::used]] constinit debug_layout const* const for_debuggers = &greenback_debug_layout;

} // namespace

fiber* make_fiber(boost::context::stack_context stack, void (*release)(fiber&) noexcept, void* where) {
    auto* f = new (where) fiber;
    f->stack = stack;
    f->release = release;
    f->valgrind_stack = valgrind::know_stack(f->stack_bottom(), f);
    auto const below = reinterpret_cast<std::uintptr_t>(where) & ~std::uintptr_t(63);
    auto const bottom = reinterpret_cast<std::uintptr_t>(f->stack_bottom());
    f->is_out_at(boost::context::detail::make_fcontext(reinterpret_cast<void*>(below), below - bottom, fiber_entry));
    if (release) {
        f->for_operation = nullptr;
        f->own_operation_memory.state.store(operation_memory::none, std::memory_order_relaxed);
        add_fiber_elsewhere(*f);
    } else {
        f->for_operation = &f->own_operation_memory;
        f->own_operation_memory.state.store(operation_memory::free, std::memory_order_relaxed);
    }
    f->set_valid(!release);
    return f;
}

void destroy_fiber(fiber& f) noexcept {
    if (must_wait(f))
        return;
    end_fiber(f);
    if (f.release) {
        remove_fiber_elsewhere(f);
        note_stack_use({f.stack.sp, f.stack.size});
        return f.release(f);
    }
    stack const s{f.stack.sp, f.stack.size};
    f.~fiber();
    release_stack(s);
}

void destroy_fibers(fiber* first) noexcept {
    while (first) {
        stack batch[64];
        std::size_t n = 0;
        while (first && n != std::size(batch)) {
            fiber& f = *std::exchange(first, first->next);
            if (must_wait(f))
                continue;
            batch[n++] = {f.stack.sp, f.stack.size};
            end_fiber(f);
            f.~fiber();
        }
        if (n != 0)
            release_stacks(batch, n);
    }
}

void destroy_waiting_fibers() noexcept {
    if (!waiting->first.load(std::memory_order_relaxed)) [[likely]]
        return;
    fiber* f;
    {
        std::scoped_lock lock(*waiting);
        f = waiting->first.exchange(nullptr, std::memory_order_relaxed);
    }
    while (f)
        destroy_fiber(*std::exchange(f, static_cast<fiber*>(f->argument))); // which puts it aside again, if it must
}

} // namespace greenback::detail
