// SPDX-License-Identifier: MIT
// Walks the records at the tops of all stacks.

#include <greenback/detail/fiber.hpp>
#include <greenback/detail/stack_pool.hpp>
#include <greenback/diagnostics.hpp>

namespace greenback {
namespace {

void count(detail::fiber const& f, portal_stats& stats) noexcept {
    if (!f.valid())
        return;
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
        if (in_use)
            count(*detail::fiber_at(s.top), result);
        else
            ++result.stacks_cached;
    });
    detail::for_each_fiber_elsewhere([](detail::fiber& f, void* r) { count(f, *static_cast<portal_stats*>(r)); },
                                     &result);
    return result;
}

} // namespace greenback
