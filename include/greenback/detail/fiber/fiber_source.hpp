// SPDX-License-Identifier: MIT
// Where the fiber of a portal that runs a function comes from, and where it goes: the concept, and two of its three
// models; the third, the fiber that a `portal` object keeps, stands in kept_fiber.hpp.
#pragma once

#include <greenback/detail/config.hpp>
#include <greenback/detail/fiber/thread_state.hpp>

#include <boost/context/stack_context.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>

namespace greenback::detail {

/// A source gives one fiber, once, on the thread `here`, or says why not; and takes it back, maybe on another thread.
///
///     typename Source::shortcut    made of the source beforehand. `take` on it: a fiber without more ado, where no
///                                  portal is in force; or null. That it has one says as well that the thread is known.
///     occupy()                     the slow way, first: the run begins. @throws what forbids it
///     take(here)                   the slow way, then: a fiber. @throws std::bad_alloc
///     vacate()                     in the place of `take`: no fiber is needed after all, and the run is over
///     give_back(here, f)           the run is over, and the fiber has come out
template <class Source>
concept fiber_source = std::constructible_from<typename Source::shortcut, Source&> &&
                       requires(Source& source, typename Source::shortcut& shortcut, thread_state& here, fiber& f) {
                           { shortcut.take(source, here) } noexcept -> std::same_as<fiber*>;
                           source.occupy();
                           { source.take(here) } -> std::same_as<fiber&>;
                           { source.vacate() } noexcept;
                           { source.give_back(here, f) } noexcept;
                       };

/// The thread's cache.
struct cached_fiber_source {
    struct shortcut {
        explicit shortcut(cached_fiber_source&) noexcept {}
        fiber* take(cached_fiber_source&, thread_state& here) const noexcept { return cached_fiber(here); }
    };
    static void occupy() noexcept {}
    static fiber& take(thread_state& here) { return borrow_fiber(here); }
    static void vacate() noexcept {}
    GREENBACK_SWITCH_PATH static void give_back(thread_state& here, fiber& f) noexcept { return_fiber(here, f); }
};
static_assert(fiber_source<cached_fiber_source>);

/// A new one on memory of a Boost.Context stack allocator. The allocator itself lies at the top of the stack.
template <class StackAllocator> class allocated_fiber_source {
public:
    template <class A>
        requires(!std::same_as<std::decay_t<A>, allocated_fiber_source>)
    explicit allocated_fiber_source(A&& alloc) : alloc_(std::forward<A>(alloc)) {}

    struct shortcut {
        explicit shortcut(allocated_fiber_source&) noexcept {}
        fiber* take(allocated_fiber_source&, thread_state&) const noexcept { return nullptr; }
    };
    static void occupy() noexcept {}
    fiber& take(thread_state&) {
        boost::context::stack_context stack = alloc_.allocate();
        auto const top = reinterpret_cast<std::uintptr_t>(stack.sp);
        auto const where = (top - sizeof(record)) & ~std::uintptr_t(alignof(record) - 1);
        auto* const r = new (reinterpret_cast<void*>(where)) record(std::move(alloc_));
        return *make_fiber(stack, &release, &r->memory);
    }
    static void vacate() noexcept {}
    static void give_back(thread_state&, fiber& f) noexcept { destroy_fiber(f); }

private:
    struct record {
        explicit record(StackAllocator&& a) : alloc(std::move(a)) {}
        alignas(64) unsigned char memory[sizeof(fiber)]; // first: the stack begins right below it
        StackAllocator alloc;
    };

    static void release(fiber& f) noexcept {
        auto* const r = reinterpret_cast<record*>(reinterpret_cast<unsigned char*>(&f) - offsetof(record, memory));
        boost::context::stack_context stack = f.stack;
        f.~fiber();
        StackAllocator alloc = std::move(r->alloc);
        r->~record();
        alloc.deallocate(stack);
    }

    StackAllocator alloc_;
};

} // namespace greenback::detail
