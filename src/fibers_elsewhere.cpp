// SPDX-License-Identifier: MIT

#include "fibers_elsewhere.hpp"

#include "never_destroyed.hpp"

#include <mutex>

#include <pthread.h>

namespace greenback::detail {
namespace {

struct fiber_list {
    std::mutex mutex;
    fiber* first = nullptr;
};

constinit never_destroyed<fiber_list> elsewhere;

// Registered before main, so that no fork can come before it. No other lock is ever taken with this one held, nor this
// one with another.
[[maybe_unused]] int const fork_handlers = ::pthread_atfork(
    [] { elsewhere->mutex.lock(); }, [] { elsewhere->mutex.unlock(); }, [] { elsewhere->mutex.unlock(); });

} // namespace

void add_fiber_elsewhere(fiber& f) noexcept {
    std::scoped_lock lock(elsewhere->mutex);
    f.next = elsewhere->first;
    f.previous = nullptr;
    if (elsewhere->first)
        elsewhere->first->previous = &f;
    elsewhere->first = &f;
}

void remove_fiber_elsewhere(fiber& f) noexcept {
    std::scoped_lock lock(elsewhere->mutex);
    (f.previous ? f.previous->next : elsewhere->first) = f.next;
    if (f.next)
        f.next->previous = f.previous;
}

void for_each_fiber_elsewhere(void (*visit)(fiber&, void*), void* argument) noexcept {
    std::scoped_lock lock(elsewhere->mutex);
    for (fiber* f = elsewhere->first; f; f = f->next)
        visit(*f, argument);
}

} // namespace greenback::detail
