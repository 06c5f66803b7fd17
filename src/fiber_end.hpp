// SPDX-License-Identifier: MIT
// Ending fibers, beyond `destroy_fiber`: what a thread's cache needs.
#pragma once

#include <greenback/detail/fiber/fiber.hpp>

namespace greenback::detail {

/// Destroys fibers on stacks of the pool, linked by `next`. Their stacks go to the pool with one lock for many.
void destroy_fibers(fiber* first) noexcept;

/// Destroys those whose end had to wait, and need not any longer.
void destroy_waiting_fibers() noexcept;

} // namespace greenback::detail
