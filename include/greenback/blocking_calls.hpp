// SPDX-License-Identifier: MIT
// Blocking calls that await: libc's, for libraries that own their sockets. Not included by greenback.hpp, and in a library
// of its own, CMake's target greenback::blocking_calls: linking that changes what a program's calls mean.
#pragma once

#include <greenback/detail/config.hpp>

#include <greenback/detail/asio/backend.hpp>
#include <greenback/detail/kept_call.hpp>

#include <cstdint>
#include <type_traits>
#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// While alive in a portal, is told when a call fails there because the task is cancelled or being destroyed.
class blocking_calls_scope {
public:
    blocking_calls_scope() noexcept;
    blocking_calls_scope(blocking_calls_scope const&) = delete;
    ~blocking_calls_scope();
    /// @throws, if a call has failed so, what it meant
    void rethrow() const;

    /// To the innermost of a portal. @param portal its `portal_base`
    static void call_has_failed(void const* portal) noexcept;

private:
    void* portal_;                         ///< null: off every portal
    blocking_calls_scope* next_ = nullptr; ///< of all portals' scopes
    bool failed_ = false;
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE

namespace greenback::inline GREENBACK_BACKEND_NAMESPACE {

/// Call `f`, which calls a library that makes blocking calls, and return what it returns; unless one of those calls has
/// failed because the task is cancelled or being destroyed. Then throw that, whatever `f` makes of its library's error.
///
/// In a program that links `greenback::blocking_calls`, libc's blocking calls await when they are made on a portal. No
/// exception can cross the library in between: so where the task is cancelled, what would block fails with `ECANCELED`,
/// which the library reports as one of its own errors. This turns it back into the exception that `await_` throws.
///
/// What `f` has returned is destroyed then: let it return an owner, no bare pointer. Of nested ones the innermost throws.
/// Off every portal it is a call of `f`.
///
/// @returns what `f` returns; a reference stays one.
/// @throws `operation_aborted` (`system_error`) if a call inside was cancelled · `abandoned` if the task is being
///     destroyed; either also in the place of an exception of `f`'s. Else what `f` throws.
///
/// Cancellation: what would block in `f` fails, at once and each time; what need not wait still works, so that goodbyes
///     get out. A loop in `f` that tries again does not end: call this inside of it.
/// Thread safety: returns on a thread that runs the task's executor. Libraries that look at errno want one thread for each
///     io_context: see docs/blocking-calls.md.
/// Cost: two uses of a mutex; no allocation.
/// Example: `result_ptr r = greenback::blocking_call([&] { return result_ptr(PQexec(connection, "select 1")); });`
template <class F> std::invoke_result_t<F> blocking_call(F&& f) {
    detail::blocking_calls_scope const scope;
    detail::kept_call<F> call(std::forward<F>(f));
    call.run();
    scope.rethrow();
    return call.get();
}

/// How many waits of blocking calls there have been so far in this program: 0 if the calls do not come through. A call
/// that waits twice counts twice.
///
/// Thread safety: from any thread.
/// Example: `assert(greenback::blocking_calls_awaited() > 0);`
std::uint64_t blocking_calls_awaited() noexcept;

} // namespace greenback::inline GREENBACK_BACKEND_NAMESPACE
