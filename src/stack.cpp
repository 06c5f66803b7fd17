// SPDX-License-Identifier: MIT
// The public functions of stack.hpp that choose a stack and its size.

#include <greenback/stack.hpp>

#include "os_memory.hpp"
#include "stack_shortage.hpp"
#include "stack_size.hpp"
#include <greenback/detail/fiber/sanitizer.hpp>

#include <greenback/detail/fiber/stack_pool.hpp>
#include <greenback/detail/fiber/thread_state.hpp>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cassert>
#include <cerrno>

// The default size. Lua's 200 nested C calls take 416 KiB, and libraries that were made portable run in the
// 512 KiB that macOS gives a process's other threads; docs/pitfalls.md has what others were measured to need. While a
// portal is in force the task's own coroutines run on its stack as well. Generosity costs no memory but page tables, 2
// bytes per KiB: a suspended portal with one page in use takes 1.03 KiB of them at 512 KiB, 0.66 KiB at 320 KiB. A
// million of them reserve half a TiB of the 128 TiB that a process can address. AddressSanitizer makes frames two to
// three times larger.
#ifndef GREENBACK_DEFAULT_STACK_SIZE
#if defined(GREENBACK_ASAN)
#define GREENBACK_DEFAULT_STACK_SIZE (std::size_t(1024) * 1024)
#else
#define GREENBACK_DEFAULT_STACK_SIZE (std::size_t(512) * 1024)
#endif
#endif

namespace greenback {
namespace {

static_assert(GREENBACK_DEFAULT_STACK_SIZE > 0 && std::size_t(GREENBACK_DEFAULT_STACK_SIZE) <= detail::max_stack_size,
              "GREENBACK_DEFAULT_STACK_SIZE is not a size that a stack can have");

std::atomic<std::size_t> default_size{0}; // as asked for; 0: the build's. Written by default_stack_size

} // namespace

namespace detail {

std::size_t rounded(std::size_t size) noexcept {
    if (size > max_stack_size)
        return 0;
    size = round_up(std::max(size, min_stack_size), os::page_size());
    // Step and page are powers of two: a multiple of the larger is a multiple of both.
    std::size_t const step = std::bit_floor(size - 1) / 4;
    return round_up(size, std::max(step, os::page_size()));
}

std::size_t rounded_stack_size(std::size_t size) {
    std::size_t const result = rounded(size != 0 ? size : default_stack_size());
    if (result == 0) {
        shortage::report(stack_limit::size, {shortage::step::reserve, ENOMEM, size}, size);
        throw stack_exhausted(stack_limit::size);
    }
    return result;
}

} // namespace detail

std::size_t default_stack_size() noexcept {
    std::size_t const asked = default_size.load(std::memory_order_relaxed);
    return asked != 0 ? asked : detail::rounded(GREENBACK_DEFAULT_STACK_SIZE);
}

void default_stack_size(std::size_t bytes) noexcept {
    // What can't be had stays as it was asked for: the first request for a stack says so, by stack_exhausted.
    std::size_t const size = detail::rounded(bytes);
    std::size_t const asked = bytes == 0 ? 0 : size != 0 ? size : bytes;
    if (default_size.exchange(asked, std::memory_order_relaxed) != asked)
        detail::renew_caches(); // after the store: who sees the new generation sees the new size
}

stack_exhausted::~stack_exhausted() = default;

char const* stack_exhausted::what() const noexcept { return detail::shortage::explain(limit_); }

std::size_t pooled_stack::traits_type::page_size() noexcept { return detail::os::page_size(); }

std::size_t pooled_stack::traits_type::minimum_size() noexcept { return detail::rounded(detail::min_stack_size); }

std::size_t pooled_stack::traits_type::maximum_size() noexcept { return detail::max_stack_size; }

boost::context::stack_context pooled_stack::allocate() const {
    detail::stack const s = detail::acquire_stack(size_);
    boost::context::stack_context result;
    result.sp = s.top;
    result.size = s.size;
    return result;
}

void pooled_stack::deallocate(boost::context::stack_context& stack) const noexcept {
    assert(stack.sp);
    detail::release_stack({stack.sp, stack.size});
}

} // namespace greenback
