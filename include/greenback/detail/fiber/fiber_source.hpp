// SPDX-License-Identifier: MIT
// Where the stack of a portal that runs a function comes from, and where it goes.
#pragma once

#include <greenback/detail/asio/backend.hpp>
#include <greenback/detail/fiber/thread_state.hpp>
#include <greenback/error.hpp>

#include <boost/context/stack_context.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// From the thread's cache, and back to it.
struct cached_stack {
    /// A fiber without more ado, for use where no portal is in force; or null. It says as well that the thread is
    /// known.
    struct shortcut {
        explicit shortcut(cached_stack&) noexcept {}
        fiber* take(cached_stack&, thread_state& here) const noexcept { return cached_fiber(here); }
    };
    fiber& take(thread_state& here) { return borrow_fiber(here); }
    GREENBACK_SWITCH_PATH static void give_back(thread_state& here, fiber& f) noexcept { return_fiber(here, f); }
};

/// A fiber on memory of a Boost.Context stack allocator. The allocator itself lies at the top of the stack.
template <class StackAllocator> class allocated_stack {
public:
    template <class A>
        requires(!std::same_as<std::decay_t<A>, allocated_stack>)
    explicit allocated_stack(A&& alloc) : alloc_(std::forward<A>(alloc)) {}

    struct shortcut {
        explicit shortcut(allocated_stack&) noexcept {}
        fiber* take(allocated_stack&, thread_state&) const noexcept { return nullptr; }
    };
    fiber& take(thread_state&) {
        boost::context::stack_context stack = alloc_.allocate();
        auto const top = reinterpret_cast<std::uintptr_t>(stack.sp);
        auto const where = (top - sizeof(record)) & ~std::uintptr_t(alignof(record) - 1);
        auto* const r = new (reinterpret_cast<void*>(where)) record(std::move(alloc_));
        return *make_fiber(stack, &release, &r->memory);
    }
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

/// The stack of a `basic_portal`: taken at its first run, kept between runs.
class kept_stack {
public:
    kept_stack() = default;
    template <class StackAllocator>
    explicit kept_stack(allocated_stack<StackAllocator> source)
        : source_([source = std::make_shared<allocated_stack<StackAllocator>>(std::move(source))](
                      thread_state& here) -> fiber& { return source->take(here); }) {}
    kept_stack(kept_stack const&) = delete;
    ~kept_stack() {
        if (fiber_)
            return_fiber(this_thread(), *fiber_);
    }

    fiber& take(thread_state& here) {
        if (!fiber_)
            fiber_ = source_ ? &source_(here) : &borrow_fiber(here);
        return *fiber_;
    }
    fiber* taken() const noexcept { return fiber_; }
    bool busy = false; ///< a function runs, or waits, on it. Written where it starts and where it ends.

private:
    friend class kept_stack_owner;
    unsigned owners_ = 0;
    fiber* fiber_ = nullptr;
    std::function<fiber&(thread_state&)> source_; ///< empty: the library's pool
};

/// Shared by a portal and its runs. Counted without atomics: a portal and its runs belong to one task at a time.
class kept_stack_owner {
public:
    explicit kept_stack_owner(kept_stack* stack) noexcept : stack_(stack) { ++stack_->owners_; }
    kept_stack_owner(kept_stack_owner const& other) noexcept : stack_(other.stack_) {
        if (stack_)
            ++stack_->owners_;
    }
    kept_stack_owner(kept_stack_owner&& other) noexcept : stack_(std::exchange(other.stack_, nullptr)) {}
    kept_stack_owner& operator=(kept_stack_owner other) noexcept {
        std::swap(stack_, other.stack_);
        return *this;
    }
    GREENBACK_SWITCH_PATH ~kept_stack_owner() {
        if (stack_ && --stack_->owners_ == 0) [[unlikely]]
            end();
    }
    kept_stack* operator->() const noexcept { return stack_; }

    /// For one run. One that was moved from owns nothing, and begins anew.
    GREENBACK_SWITCH_PATH kept_stack_owner const& for_a_run() {
        if (!stack_) [[unlikely]]
            begin_anew();
        return *this;
    }

private:
    GREENBACK_COLD void end() noexcept { delete stack_; }
    GREENBACK_COLD void begin_anew() { *this = kept_stack_owner(new kept_stack()); }

    kept_stack* stack_;
};

/// That stack for one run. Occupied: from `occupy`, or the shortcut, to `vacate` or `give_back`.
class borrowed_stack {
public:
    explicit borrowed_stack(kept_stack_owner stack) noexcept : stack_(std::move(stack)) {}

    /// Knows the fiber, if the portal has one yet: finding it through the portal would be two loads more on the way to
    /// the fiber's stack pointer, which everything else waits for.
    class shortcut {
    public:
        explicit shortcut(borrowed_stack& from) noexcept : fiber_(from.stack_->taken()) {}
        fiber* take(borrowed_stack& from, thread_state& here) const noexcept {
            if (!fiber_ || !here.exceptions || from.stack_->busy) [[unlikely]]
                return nullptr;
            from.stack_->busy = true;
            return fiber_;
        }

    private:
        fiber* fiber_;
    };
    /// Marks the portal as running. @throws portal_busy
    void occupy() {
        if (stack_->busy)
            throw_portal_busy();
        stack_->busy = true;
    }
    void vacate() noexcept { stack_->busy = false; }
    fiber& take(thread_state& here) {
        try {
            return stack_->take(here);
        } catch (...) {
            vacate();
            throw;
        }
    }
    /// It stays with the portal.
    void give_back(thread_state&, fiber&) noexcept { vacate(); }

private:
    kept_stack_owner stack_;
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
