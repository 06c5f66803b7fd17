// SPDX-License-Identifier: MIT
// A task to take the place of one that is being destroyed.
#pragma once

#include <greenback/detail/asio/access.hpp>

#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// An entry frame to hold the frames of a task that is being destroyed; it never runs anything.
template <class Executor> entry_awaitable<Executor> empty_task() { co_return; }

/// Coroutines that unwinding passes through on the fiber belong to a task that is half gone. They are attached to
/// this one, already cancelled, so that a co_await in them throws; should it get through all the same, nothing it
/// awaits is ever started.
template <class Executor> class cancelled_task {
    using thread = task_thread<Executor>;
    using threads = thread_access<Executor>;

public:
    explicit cancelled_task(Executor const& executor)
        : thread_(empty_task<Executor>(), executor, signal_.slot(), cancelled()) {}
    /// Destroyed at once; the destructor of Asio's thread would post it.
    ~cancelled_task() { entry_awaitable<Executor> here(std::move(threads::bottom(thread_))); }
    void attach(frame_base<Executor>& body) {
        private_access::top_of_stack(*thread_.entry_point()) = &body;
        body.attach_thread(&thread_);
    }

private:
    asio::cancellation_state cancelled() {
        asio::cancellation_state state(signal_.slot());
        signal_.emit(asio::cancellation_type::terminal);
        return state;
    }
    asio::cancellation_signal signal_;
    thread thread_;
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
