// SPDX-License-Identifier: MIT
// What a child of fork() finds, whatever the parent's other threads were doing.
#pragma once

#include <pthread.h>

namespace greenback::detail {

/// Holds `lock`, a static object, across every fork: the child gets what it guards between two changes, and can lock it.
///
/// To initialise a static with, so that it is registered before main, and no fork can come before it. No lock of these is
/// ever taken with another one held, so their order is of no consequence.
template <auto& lock> int hold_across_fork() noexcept {
    return ::pthread_atfork([] { lock->lock(); }, [] { lock->unlock(); }, [] { lock->unlock(); });
}

} // namespace greenback::detail
