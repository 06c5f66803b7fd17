// SPDX-License-Identifier: MIT
// 10. Helpers: carrying an exception past code that it must not cross, a C library's. Knows nothing of Asio.
#pragma once

#include <greenback/detail/config.hpp>

#include <exception>
#include <functional>
#include <type_traits>
#include <utility>

namespace greenback {

/// Carries an exception past C frames: `run` keeps what is thrown in a callback, `rethrow` throws it when the C
/// function has returned. An exception that goes on into C code is undefined behaviour; and any callback that awaits
/// may throw: the errors of what it awaits, a cancellation, `abandoned`.
///
/// Neither copied nor moved: the C library has its address. One that is destroyed with an exception in it drops that
/// exception, so write `rethrow()` right behind the C call.
///
/// Thread safety: may be used by one thread at a time, as one task does.
/// Cost: that of a `try` block, of which nothing is felt where nothing is thrown. No allocation.
/// Example: `int callback(void* p) { return static_cast<state*>(p)->trap.run([&] { return work(p); }, -1); }`
class exception_trap {
public:
    exception_trap() = default;
    exception_trap(exception_trap const&) = delete;
    exception_trap& operator=(exception_trap const&) = delete;

    /// Calls `f`; what it throws is kept. Of several exceptions the first stays, and the others are dropped.
    ///
    /// `f` is called even if there is an exception already, because C libraries call back to clean up, too. A callback
    /// that is to do nothing more asks first: `if (trap) return -1;`.
    ///
    /// @returns `f()`, or `on_error` if it has thrown.
    template <class F> std::invoke_result_t<F> run(F&& f, std::invoke_result_t<F> on_error) noexcept {
        try {
            return std::invoke(std::forward<F>(f));
        } catch (...) {
            keep_first();
        }
        // Moved where it is a value, as it may be move-only. The caller has converted it, outside of `noexcept`.
        return static_cast<std::invoke_result_t<F>&&>(on_error);
    }

    /// The same for an `f` that returns nothing.
    template <class F> void run(F&& f) noexcept {
        static_assert(std::is_void_v<std::invoke_result_t<F>>,
                      "greenback: the function returns a value, so say what run is to return when it has thrown: "
                      "trap.run(f, -1)");
        try {
            std::invoke(std::forward<F>(f));
        } catch (...) {
            keep_first();
        }
    }

    /// What can't be called so.
    template <class F, class OnError>
        requires std::is_void_v<std::invoke_result_t<F>>
    void run(F&&, OnError&&) noexcept {
        static_assert(!std::is_void_v<std::invoke_result_t<F>>,
                      "greenback: the function returns nothing, so there is nothing to return when it has thrown: "
                      "trap.run(f)");
    }

    /// Is there an exception to be rethrown?
    explicit operator bool() const noexcept { return first_ != nullptr; }

    /// Throws what was kept, as it is; does nothing if that is nothing. The trap is empty afterwards.
    ///
    /// @throws what a function in `run` has thrown.
    void rethrow() {
        if (first_)
            std::rethrow_exception(release());
    }

    /// What was kept, or null, for those who don't want to throw it. The trap is empty afterwards.
    std::exception_ptr release() noexcept { return std::exchange(first_, nullptr); }

private:
    void keep_first() noexcept {
        if (!first_)
            first_ = std::current_exception();
    }

    std::exception_ptr first_; // written by keep_first, emptied by release
};

} // namespace greenback
