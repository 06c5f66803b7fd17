// SPDX-License-Identifier: MIT
// Walks the records at the tops of all stacks.

#include <greenback/detail/fiber/fiber.hpp>
#include <greenback/detail/fiber/stack_pool.hpp>
#include <greenback/diagnostics.hpp>

namespace greenback {
namespace {

void count(detail::fiber const& f, portal_stats& stats) noexcept {
    if (!f.is_busy()) {
        ++stats.stacks_cached;
        return;
    }
    ++stats.live;
    if (f.is_out())
        ++stats.suspended;
}

} // namespace

portal_stats stats() noexcept {
    portal_stats result;
    detail::for_each_stack([&result](detail::stack s, bool in_use) {
        detail::fiber const& f = *detail::fiber_at(s.top);
        if (!in_use)
            ++result.stacks_cached;
        else if (f.valid())
            count(f, result);
    });
    detail::for_each_fiber_elsewhere([](detail::fiber& f, void* r) { count(f, *static_cast<portal_stats*>(r)); },
                                     &result);
    return result;
}

} // namespace greenback
