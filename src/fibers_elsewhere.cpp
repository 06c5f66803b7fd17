// SPDX-License-Identifier: MIT

#include "fibers_elsewhere.hpp"

#include "debug_layout.hpp"
#include "hold_across_fork.hpp"
#include "never_destroyed.hpp"

#include <greenback/detail/intrusive_list.hpp>

#include <mutex>

namespace greenback::detail {
namespace {

struct fiber_list : intrusive_list<fiber>, std::mutex {};

constinit never_destroyed<fiber_list> elsewhere;

[[maybe_unused]] int const across_fork = hold_across_fork<elsewhere>();

} // namespace

constinit fiber* const* const first_fiber_elsewhere = elsewhere->first_place();

void add_fiber_elsewhere(fiber& f) noexcept {
    std::scoped_lock lock(*elsewhere);
    elsewhere->add(f);
}

void remove_fiber_elsewhere(fiber& f) noexcept {
    std::scoped_lock lock(*elsewhere);
    elsewhere->remove(f);
}

void for_each_fiber_elsewhere(void (*visit)(fiber&, void*), void* argument) noexcept {
    std::scoped_lock lock(*elsewhere);
    for (fiber* f = elsewhere->first(); f; f = f->next)
        visit(*f, argument);
}

} // namespace greenback::detail
