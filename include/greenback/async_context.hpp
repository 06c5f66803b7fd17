// SPDX-License-Identifier: MIT
// 10. Helpers: a resource that is acquired and released asynchronously, as a scope.
#pragma once

#include <greenback/detail/config.hpp>

#include <greenback/await.hpp>
#include <greenback/portal.hpp>

#include <exception>
#include <functional>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// While it is alive, a task that is cancelled already may await all the same.
class cancelled_task_goes_on {
public:
    explicit cancelled_task_goes_on(std::source_location where)
        : active_(await_(asio::this_coro::cancellation_state, where).cancelled() != asio::cancellation_type::none &&
                  await_(asio::this_coro::throw_if_cancelled(), where)) {
        if (active_)
            await_(asio::this_coro::throw_if_cancelled(false), where);
    }
    cancelled_task_goes_on(cancelled_task_goes_on const&) = delete;
    ~cancelled_task_goes_on() {
        if (active_ && has_portal())
            await_(asio::this_coro::throw_if_cancelled(true));
    }

private:
    bool active_;
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE

namespace greenback::inline GREENBACK_BACKEND_NAMESPACE {

/// Awaits `acquire` now, and `release(value)` at the end of the scope.
///
/// `acquire` is anything that `await_` takes, `release` a function that returns such a thing; it gets the value as an
/// lvalue, or nothing if `T` is `void`. If acquiring throws, nothing is released. Movable: what was moved from is closed.
///
/// The end of the scope awaits, and throws what the release throws: the destructor is `noexcept(false)`. While an
/// exception is on its way through the scope, errors of the release are dropped. If the task is being destroyed, or this
/// has been moved to where there is no portal, nothing can be awaited: the release is not called, and the destructor of
/// `T` is all there is. `close()` throws there.
/// In an `optional`, a `vector` or a `unique_ptr`, whose destructors are `noexcept`, a release that throws ends the
/// program: call `close()` before.
///
/// @pre as for `await_`, at the beginning and at the end.
/// @throws as `await_`, of what is acquired and released.
///
/// Cancellation: as `await_`; but a task that has been cancelled before the release releases all the same, as if
///     `throw_if_cancelled(false)` had been said. One that is requested during the release reaches it.
/// Thread safety: one task's, as the code around it is.
/// Cost: that of the two awaits.
/// Example: `greenback::async_context tx(db.begin(), [](auto& t) { return t.commit(); });`
template <class T, class Release> class async_context {
    struct nothing {};
    using held = std::conditional_t<std::is_void_v<T>, nothing, T>;

public:
    template <class Acquire>
    async_context(Acquire&& acquire, Release release, std::source_location where = std::source_location::current())
        : release_(std::move(release)), where_(where) {
        if constexpr (std::is_void_v<T>) {
            await_(std::forward<Acquire>(acquire), where);
            value_.emplace();
        } else {
            value_.emplace(await_(std::forward<Acquire>(acquire), where));
        }
        uncaught_ = std::uncaught_exceptions();
        portal_ = detail::find_portal();
    }
    async_context(async_context&& other) noexcept(std::is_nothrow_move_constructible_v<held> &&
                                                  std::is_nothrow_move_constructible_v<Release>)
        : value_(std::move(other.value_)), release_(std::move(other.release_)), where_(other.where_),
          uncaught_(std::uncaught_exceptions()), portal_(detail::find_portal()) {
        other.value_.reset();
    }
    async_context& operator=(async_context&&) = delete;

    ~async_context() noexcept(false) {
        if (!value_)
            return;
        // Else the task is being destroyed, perhaps by code in the portal of another one, and nothing can be awaited. In a
        // coroutine's frame no exception says so, and none may leave it.
        detail::portal_base const* const p = detail::find_portal();
        if (!p || p != portal_ || p->abandoned())
            return;
        if (std::uncaught_exceptions() <= uncaught_) {
            close();
        } else {
            try {
                close();
            } catch (...) { // NOLINT(bugprone-empty-catch): there is an exception on its way already
            }
        }
    }

    /// Releases now. Whatever comes of it, it is not released again.
    void close() {
        if (!value_)
            return;
        // Out of this object first: the release may come back to it.
        std::optional<held> value = std::move(value_);
        value_.reset();
        detail::cancelled_task_goes_on const releases_all_the_same(where_);
        if constexpr (std::is_void_v<T>)
            await_(std::invoke(std::move(release_)), where_);
        else
            await_(std::invoke(std::move(release_), *value), where_);
    }

    /// Has it not been released, nor moved from?
    bool is_open() const noexcept { return value_.has_value(); }

    /// @pre is_open()
    held& operator*() noexcept
        requires(!std::is_void_v<T>)
    {
        return *value_;
    }
    held* operator->() noexcept
        requires(!std::is_void_v<T>)
    {
        return &*value_;
    }
    held const& operator*() const noexcept
        requires(!std::is_void_v<T>)
    {
        return *value_;
    }
    held const* operator->() const noexcept
        requires(!std::is_void_v<T>)
    {
        return &*value_;
    }

private:
    std::optional<held> value_; ///< empty: released, or moved from
    [[no_unique_address]] Release release_;
    std::source_location where_;
    int uncaught_ = 0;                            ///< exceptions on their way when this was made, or moved
    detail::portal_base const* portal_ = nullptr; ///< in force when this was made, or moved; may be gone
};

template <class Acquire, class Release>
async_context(Acquire&&, Release, std::source_location = std::source_location::current())
    -> async_context<std::decay_t<decltype(await_(std::declval<Acquire>()))>, Release>;

} // namespace greenback::inline GREENBACK_BACKEND_NAMESPACE
