// SPDX-License-Identifier: MIT
// Synchronous code that must not be interrupted by an await, because it holds a lock, or has left things half done.
#pragma once

#include <greenback/detail/config.hpp>

#include <greenback/detail/fiber/fiber.hpp>
#include <greenback/detail/fiber/portal_base.hpp>
#include <greenback/detail/portal/find_portal.hpp>

#include <cstddef>
#include <mutex>
#include <source_location>

namespace greenback::inline GREENBACK_BACKEND_NAMESPACE {

/// While one is alive, `await_` and `use_portal` in this portal throw `await_forbidden`, which names the scope and the
/// call; whatever was to be awaited is destroyed unrun.
///
/// For code that holds a lock, or has left a data structure half changed: a function that it calls, perhaps one that
/// somebody else has made to await since, would let other tasks run in between.
///
/// It belongs to the portal, not to the thread: other tasks await as ever. Scopes nest. `has_portal()` is false inside.
/// Off every portal, and where the task is being destroyed, it does nothing, as nothing could be awaited anyway. In a
/// coroutine that has a portal (`ensure_portal`, `with_portal_run`) it may be alive across a `co_await`, which is not
/// forbidden: everybody sees that.
///
/// @pre it is a local variable: destroyed by the code that made it.
///
/// Thread safety: one portal's, as its code is.
/// Cost: some 5 ns; `await_` itself costs the same with and without this class.
/// Example: `greenback::no_await_scope const half_done("the index is being rebuilt");`
class no_await_scope {
public:
    /// @param reason for the error's text. Not copied: a literal
    explicit no_await_scope(char const* reason, std::source_location where = std::source_location::current()) noexcept
        : kind_(reason, where), portal_(detail::find_portal()) {
        if (!portal_)
            return;
        portal_->ensure_prepared();
        if (portal_->serving() && !is_in_other_coroutine())
            portal_->forbid(kind_);
        else
            portal_ = nullptr;
    }
    /// A coroutine that is destroyed while it is suspended destroys its scopes when the portal is gone: it is not in
    /// force then.
    ~no_await_scope() {
        if (portal_ && portal_ == detail::raw_current_portal())
            portal_->allow(kind_);
    }
    no_await_scope(no_await_scope const&) = delete;
    no_await_scope& operator=(no_await_scope const&) = delete;
    static void* operator new(std::size_t) = delete;

private:
    /// A function's local variables lie on the stack that it runs on. One on the portal's fiber that lies elsewhere is a
    /// coroutine's; if the portal awaits none, it is a coroutine of others, a child task's whose first stretch
    /// `co_spawn` runs inline, say. That may suspend with the scope alive, and be destroyed who knows when.
    bool is_in_other_coroutine() const noexcept {
        detail::fiber const& f = portal_->own_fiber();
        return !f.holds(this) && f.holds(__builtin_frame_address(0)) && portal_->in_function();
    }

    detail::forbidden_kind kind_;
    detail::portal_base* portal_; ///< null: there is none that could await
};

/// The reason of a `no_await_lock`, which the place where it is written comes with.
struct no_await_reason {
    /// @param literal not copied
    no_await_reason(char const* literal, std::source_location at = std::source_location::current()) noexcept
        : text(literal), where(at) {}
    char const* text;
    std::source_location where;
};

/// `std::scoped_lock` and `no_await_scope` in one: the mutexes are held, and nothing in this portal may await until they
/// are released.
///
/// A mutex that is held across an await is a deadlock in waiting: another task of the same thread that wants it blocks
/// the thread, and with it the task that could release it. And `std::mutex` must be released by the thread that has
/// locked it, where the portal may be on another one by then.
///
/// @throws what locking throws.
///
/// Thread safety: as `std::scoped_lock`.
/// Cost: as `std::scoped_lock` and `no_await_scope`.
/// Example: `greenback::no_await_lock const lock("the cache is locked", cache_mutex);`
template <class... Mutexes> class no_await_lock {
public:
    explicit no_await_lock(no_await_reason reason, Mutexes&... mutexes)
        : lock_(mutexes...), scope_(reason.text, reason.where) {}

private:
    std::scoped_lock<Mutexes...> lock_; // first: a mutex of somebody's may await to be locked
    no_await_scope scope_;
};

} // namespace greenback::inline GREENBACK_BACKEND_NAMESPACE
