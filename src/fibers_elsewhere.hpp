// SPDX-License-Identifier: MIT
// The fibers on other allocators' stacks: the pool knows nothing of those. `for_each_fiber_elsewhere` visits them.
#pragma once

#include <greenback/detail/fiber/fiber.hpp>

namespace greenback::detail {

/// Lists `f`, by its `next` and `previous`.
void add_fiber_elsewhere(fiber& f) noexcept;
void remove_fiber_elsewhere(fiber& f) noexcept;

} // namespace greenback::detail
