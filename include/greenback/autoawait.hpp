// SPDX-License-Identifier: MIT
// 10. Helpers: an asynchronous function where a synchronous one is expected.
#pragma once

#include <greenback/detail/config.hpp>

#include <greenback/await.hpp>

#include <concepts>
#include <functional>
#include <source_location>
#include <type_traits>
#include <utility>

namespace greenback::inline GREENBACK_BACKEND_NAMESPACE {

/// What `autoawait` returns: calls the asynchronous function, and awaits what that returns. Copyable if the function is.
template <class AsyncFn> class autoawaiting {
public:
    autoawaiting(AsyncFn f, std::source_location where) : f_(std::move(f)), where_(where) {}

    // The arguments live until the await is over, so the function may take references.
    template <class... Args>
        requires std::invocable<AsyncFn&, Args...>
    decltype(auto) operator()(Args&&... args) & {
        return result(std::invoke(f_, std::forward<Args>(args)...));
    }
    template <class... Args>
        requires std::invocable<AsyncFn const&, Args...>
    decltype(auto) operator()(Args&&... args) const& {
        return result(std::invoke(f_, std::forward<Args>(args)...));
    }
    template <class... Args>
        requires std::invocable<AsyncFn, Args...>
    decltype(auto) operator()(Args&&... args) && {
        return result(std::invoke(std::move(f_), std::forward<Args>(args)...));
    }

private:
    /// What was returned ends with the call, so no reference into it may leave.
    template <class Awaitable> decltype(auto) result(Awaitable&& x) const {
        using awaited = decltype(await_(std::forward<Awaitable>(x), where_));
        if constexpr (std::is_lvalue_reference_v<Awaitable>)
            return await_(std::forward<Awaitable>(x), where_);
        else
            return static_cast<detail::outliving<awaited>>(await_(std::forward<Awaitable>(x), where_));
    }

    [[no_unique_address]] AsyncFn f_;
    std::source_location where_; ///< a call can't have one of its own behind its arguments
};

/// A synchronous function of the asynchronous function `f`: called, it calls `f` and awaits what that returns. For
/// callbacks, algorithms and decorators that expect a function which returns its result.
///
/// `f` is decay-copied, and called by `std::invoke`, so it may be a pointer to a member. It may return whatever `await_`
/// takes.
///
/// @pre of a call: as for `await_`.
/// @returns, from a call, the result of `co_await f(args...)`.
/// @throws, from a call, as `await_`. An error names the place where `autoawait` was called.
///
/// Cancellation: as `await_`.
/// Thread safety: as `await_`; as `f`.
/// Cost: none beyond that of `await_` and of `f`.
/// Example: `std::ranges::transform(names, sizes, greenback::autoawait(fetch_size));`
template <class AsyncFn>
autoawaiting<std::decay_t<AsyncFn>> autoawait(AsyncFn&& f,
                                              std::source_location where = std::source_location::current()) {
    return autoawaiting<std::decay_t<AsyncFn>>(std::forward<AsyncFn>(f), where);
}

} // namespace greenback::inline GREENBACK_BACKEND_NAMESPACE
