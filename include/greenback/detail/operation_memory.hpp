// SPDX-License-Identifier: MIT
// Where an operation keeps what it needs until it is over: in the record of the fiber that waits for it.
#pragma once

#include <greenback/detail/asio.hpp>
#include <greenback/detail/fiber.hpp>

#include <cstddef>

namespace greenback::detail {

inline namespace GREENBACK_BACKEND_NAMESPACE {

/// The associated allocator of `use_portal`'s handler. What doesn't fit goes where Asio's own operations keep theirs.
template <class T> class operation_allocator {
public:
    using value_type = T;

    explicit operation_allocator(fiber& f) noexcept : fiber_(&f) {}
    template <class U>
    operation_allocator(operation_allocator<U> const& other) noexcept : fiber_(&other.waiting_fiber()) {}

    T* allocate(std::size_t n) {
        if constexpr (alignof(T) <= alignof(std::max_align_t)) {
            if (n * sizeof(T) <= sizeof fiber_->operation_memory && fiber_->take_operation_memory()) [[likely]]
                return reinterpret_cast<T*>(fiber_->operation_memory);
        }
        return asio::recycling_allocator<T>().allocate(n);
    }
    void deallocate(T* p, std::size_t n) noexcept {
        if (static_cast<void*>(p) == fiber_->operation_memory) [[likely]]
            fiber_->return_operation_memory();
        else
            asio::recycling_allocator<T>().deallocate(p, n);
    }

    fiber& waiting_fiber() const noexcept { return *fiber_; }
    template <class U> bool operator==(operation_allocator<U> const& other) const noexcept {
        return fiber_ == &other.waiting_fiber();
    }

private:
    fiber* fiber_;
};

template <> class operation_allocator<void> {
public:
    using value_type = void;
    explicit operation_allocator(fiber& f) noexcept : fiber_(&f) {}
    template <class U>
    operation_allocator(operation_allocator<U> const& other) noexcept : fiber_(&other.waiting_fiber()) {}
    fiber& waiting_fiber() const noexcept { return *fiber_; }
    template <class U> bool operator==(operation_allocator<U> const& other) const noexcept {
        return fiber_ == &other.waiting_fiber();
    }

private:
    fiber* fiber_;
};

} // namespace GREENBACK_BACKEND_NAMESPACE
} // namespace greenback::detail
