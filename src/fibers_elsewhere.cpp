// SPDX-License-Identifier: MIT

#include "fibers_elsewhere.hpp"

#include "never_destroyed.hpp"

#include <greenback/detail/intrusive_list.hpp>

#include <mutex>

#include <pthread.h>

namespace greenback::detail {
namespace {

struct fiber_list : intrusive_list<fiber> {
    std::mutex mutex;
};

constinit never_destroyed<fiber_list> elsewhere;

// Registered before main, so that no fork can come before it. No other lock is ever taken with this one held, nor this
// one with another.
[[maybe_unused]] int const fork_handlers = ::pthread_atfork(
    [] { elsewhere->mutex.lock(); }, [] { elsewhere->mutex.unlock(); }, [] { elsewhere->mutex.unlock(); });

} // namespace

void add_fiber_elsewhere(fiber& f) noexcept {
    std::scoped_lock lock(elsewhere->mutex);
    elsewhere->add(f);
}

void remove_fiber_elsewhere(fiber& f) noexcept {
    std::scoped_lock lock(elsewhere->mutex);
    elsewhere->remove(f);
}

void for_each_fiber_elsewhere(void (*visit)(fiber&, void*), void* argument) noexcept {
    std::scoped_lock lock(elsewhere->mutex);
    for (fiber* f = elsewhere->first(); f; f = f->next)
        visit(*f, argument);
}

} // namespace greenback::detail
