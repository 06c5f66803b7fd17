// SPDX-License-Identifier: MIT
// Room for a task, for as long as neither Asio nor a frame on the fiber has it.
#pragma once

#include <greenback/detail/asio/access.hpp>
#include <greenback/detail/config.hpp>

#include <cstring>
#include <new>
#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// An optional `awaitable_thread`, Asio's owner of a task. Three states:
///     unset    as after the constructor, which writes nothing: most portals never hold their task
///     empty    by `clear`, and whenever the task has been taken out: the owner is one that owns nothing
///     holding  by `hold`, until somebody attaches the task to another owner, or moves it out
/// The owner's destructor, which would post the destruction of the task, is never run here.
template <class Executor> class held_task {
    using thread = task_thread<Executor>;

public:
    /// An owner whose bytes are all zero is one that was moved from.
    void clear() noexcept { std::memset(&memory_, 0, sizeof memory_); }

    /// Take the task from its owner, which may be this one already. @pre otherwise not holding
    GREENBACK_SWITCH_PATH void hold(thread& owner) noexcept {
        if (&owner != &task())
            new (&memory_) thread(std::move(owner));
    }

    /// The owner, whether it owns the task or nothing. @pre not unset
    thread& task() noexcept { return *std::launder(reinterpret_cast<thread*>(&memory_)); }

    bool is_holding() noexcept { return thread_access<Executor>::owns(task()); }

private:
    alignas(thread) unsigned char memory_[sizeof(thread)];
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
