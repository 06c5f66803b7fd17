// SPDX-License-Identifier: MIT
// Coroutines that belong to whoever will resume them.
#pragma once

#include <coroutine>
#include <exception>

namespace greenback::detail {

/// For the promise of a coroutine that is entered by a handle which lies somewhere, and is gone when it has run to its
/// end, or is destroyed through that handle.
struct self_destroying {
    std::suspend_always initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }
};

/// `co_await` it for the promise of the very coroutine; it does not suspend.
template <class Promise> struct promise_of_this {
    Promise* promise = nullptr;
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<Promise> h) noexcept {
        promise = &h.promise();
        return false;
    }
    Promise& await_resume() const noexcept { return *promise; }
};

} // namespace greenback::detail
