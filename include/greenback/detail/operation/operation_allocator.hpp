// SPDX-License-Identifier: MIT
// Where an operation keeps what it needs until it is over: in the record of the fiber that waits for it.
#pragma once

#include <greenback/detail/asio/backend.hpp>
#include <greenback/detail/fiber/fiber.hpp>

#include <cstddef>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// The associated allocator of `use_portal`'s handler. What doesn't fit, or comes when the portal has gone, goes where
/// Asio's own operations keep theirs.
template <class T> class operation_allocator {
public:
    using value_type = T;

    /// @param m null: there is none
    explicit operation_allocator(operation_memory* m) noexcept : memory_(m) {}
    template <class U> operation_allocator(operation_allocator<U> const& other) noexcept : memory_(other.memory()) {}

    T* allocate(std::size_t n) {
        if constexpr (alignof(T) <= alignof(operation_memory)) {
            if (memory_ && n * sizeof(T) <= sizeof memory_->bytes && memory_->take()) [[likely]]
                return reinterpret_cast<T*>(memory_->bytes);
        }
        return asio::recycling_allocator<T>().allocate(n);
    }
    void deallocate(T* p, std::size_t n) noexcept {
        if (operation_memory::holds(memory_, p)) [[likely]]
            memory_->give_back();
        else
            asio::recycling_allocator<T>().deallocate(p, n);
    }

    operation_memory* memory() const noexcept { return memory_; }
    template <class U> bool operator==(operation_allocator<U> const& other) const noexcept {
        return memory_ == other.memory();
    }

private:
    operation_memory* memory_;
};

template <> class operation_allocator<void> {
public:
    using value_type = void;
    explicit operation_allocator(operation_memory* m) noexcept : memory_(m) {}
    template <class U> operation_allocator(operation_allocator<U> const& other) noexcept : memory_(other.memory()) {}
    operation_memory* memory() const noexcept { return memory_; }
    template <class U> bool operator==(operation_allocator<U> const& other) const noexcept {
        return memory_ == other.memory();
    }

private:
    operation_memory* memory_;
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
