// SPDX-License-Identifier: MIT

#include "fibers_elsewhere.hpp"

#include <mutex>
#include <new>

#include <pthread.h>

namespace greenback::detail {
namespace {

struct fibers_elsewhere {
    std::mutex mutex;
    fiber* first = nullptr;
};

/// Never destroyed: fibers may end after the program's other statics.
fibers_elsewhere& elsewhere() noexcept {
    alignas(fibers_elsewhere) static unsigned char memory[sizeof(fibers_elsewhere)];
    static auto* const list = new (memory) fibers_elsewhere;
    return *list;
}

// Registered before main, so that no fork can come before it. No other lock is ever taken with this one held, nor this
// one with another.
[[maybe_unused]] int const fork_handlers = ::pthread_atfork(
    [] { elsewhere().mutex.lock(); }, [] { elsewhere().mutex.unlock(); }, [] { elsewhere().mutex.unlock(); });

} // namespace

void add_fiber_elsewhere(fiber& f) noexcept {
    fibers_elsewhere& list = elsewhere();
    std::scoped_lock lock(list.mutex);
    f.next = list.first;
    f.previous = nullptr;
    if (list.first)
        list.first->previous = &f;
    list.first = &f;
}

void remove_fiber_elsewhere(fiber& f) noexcept {
    fibers_elsewhere& list = elsewhere();
    std::scoped_lock lock(list.mutex);
    (f.previous ? f.previous->next : list.first) = f.next;
    if (f.next)
        f.next->previous = f.previous;
}

void for_each_fiber_elsewhere(void (*visit)(fiber&, void*), void* argument) noexcept {
    std::scoped_lock lock(elsewhere().mutex);
    for (fiber* f = elsewhere().first; f; f = f->next)
        visit(*f, argument);
}

} // namespace greenback::detail
