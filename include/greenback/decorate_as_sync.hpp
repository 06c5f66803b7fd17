// SPDX-License-Identifier: MIT
// 10. Helpers: a decorator of synchronous functions for an asynchronous one.
#pragma once

#include <greenback/detail/config.hpp>

#include <greenback/autoawait.hpp>
#include <greenback/portal.hpp>

#include <concepts>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace greenback::inline GREENBACK_BACKEND_NAMESPACE {

/// An asynchronous function behind a decorator of synchronous ones: a call returns an awaitable, which runs the decorated
/// function in a portal. All copies share what the decorator has returned, and so do the awaitables, which may outlive
/// them.
template <class Executor, class Decorated> class decorated_as_sync {
public:
    explicit decorated_as_sync(Decorated decorated) : shared_(std::make_shared<Decorated>(std::move(decorated))) {}

    /// As `with_portal_run_sync<Executor>` of the decorated function: `args` are decay-copied.
    template <class... Args>
        requires std::invocable<Decorated&, std::decay_t<Args>...>
    auto operator()(Args&&... args) const {
        auto call = [shared = shared_]<class... As>(As&&... as) -> decltype(auto) {
            return std::invoke(*shared, std::forward<As>(as)...);
        };
        return with_portal_run_sync<Executor>(std::move(call), std::forward<Args>(args)...);
    }

private:
    std::shared_ptr<Decorated> shared_;
};

/// What `decorate_as_sync` returns: takes an asynchronous function, and returns it decorated.
template <class Executor, class Decorator> class sync_decorator {
public:
    explicit sync_decorator(Decorator d) : decorator_(std::move(d)) {}

    template <class AsyncFn> auto operator()(AsyncFn&& f) const& {
        return decorate(decorator_, std::forward<AsyncFn>(f));
    }
    template <class AsyncFn> auto operator()(AsyncFn&& f) && {
        return decorate(std::move(decorator_), std::forward<AsyncFn>(f));
    }

private:
    template <class D, class AsyncFn> static auto decorate(D&& decorator, AsyncFn&& f) {
        using decorated =
            std::decay_t<decltype(std::invoke(std::forward<D>(decorator), autoawait(std::forward<AsyncFn>(f))))>;
        return decorated_as_sync<Executor, decorated>(
            std::invoke(std::forward<D>(decorator), autoawait(std::forward<AsyncFn>(f))));
    }

    Decorator decorator_;
};

/// Applies a decorator that was written for synchronous functions (one that caches, retries, logs, measures) to an
/// asynchronous one: `decorate_as_sync(d)(async_fn)` is an asynchronous function again.
///
/// `d` is given a synchronous function that awaits `async_fn(args...)`, and returns another. That runs by
/// `with_portal_run_sync` in each call's own task; it is one object for all calls, so what it keeps it keeps.
///
/// @pre awaited in a task whose executor type is `Executor`.
/// @throws, from `co_await`, what the decorated function throws, as it is.
///
/// Cancellation: as `with_portal_run_sync`.
/// Thread safety: two calls may interleave inside the decorator, where the function that it was given awaits; and be at
///     the same time, if several threads run their tasks.
/// Cost: that of `with_portal_run_sync`; one allocation, when it is decorated.
/// Example: `auto fetch_cached = greenback::decorate_as_sync(with_cache)(fetch); int n = co_await fetch_cached("a");`
template <class Executor = asio::any_io_executor, class Decorator> auto decorate_as_sync(Decorator d) {
    return sync_decorator<Executor, Decorator>(std::move(d));
}

} // namespace greenback::inline GREENBACK_BACKEND_NAMESPACE
