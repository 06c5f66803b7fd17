// SPDX-License-Identifier: MIT
// Synchronous code that must not be interrupted by an await, because it holds a lock, or has left things half done.
#pragma once

#include <greenback/detail/config.hpp>

#include <greenback/detail/fiber/fiber.hpp>
#include <greenback/detail/fiber/portal_base.hpp>
#include <greenback/detail/portal/find_portal.hpp>

#include <cstddef>
#include <mutex>
#include <new>
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
/// Cost: some 6 ns, and in a coroutine an allocation of 48 bytes; `await_` itself costs the same with and without this
///     class.
/// Example: `greenback::no_await_scope const half_done("the index is being rebuilt");`
class no_await_scope {
public:
    /// @param reason for the error's text. Not copied: a literal
    explicit no_await_scope(char const* reason, std::source_location where = std::source_location::current()) noexcept
        : kind_(reason, where), portal_(detail::find_portal()) {
        if (portal_ && !forbid())
            portal_ = nullptr;
    }
    ~no_await_scope() {
        if (portal_)
            allow();
    }
    no_await_scope(no_await_scope const&) = delete;
    no_await_scope& operator=(no_await_scope const&) = delete;
    static void* operator new(std::size_t) = delete;

private:
    bool forbid() noexcept {
        portal_->ensure_prepared();
        if (!portal_->serving())
            return false;
        detail::fiber const& f = portal_->own_fiber();
        bool const is_of_a_coroutine = !f.holds(this) && f.holds(__builtin_frame_address(0));
        if (is_of_a_coroutine) {
            // If the portal awaits no coroutine, it is one of others, a child task's whose first stretch `co_spawn` runs
            // inline, say. Nor can the other case be excluded where it does: so what the portal refers to is not in the
            // coroutine's frame, which may be destroyed who knows when.
            if (portal_->in_function())
                return false;
            forbids_ = new (std::nothrow) detail::forbidden_kind(kind_);
            if (!forbids_)
                return false;
        }
        portal_->forbid(*forbids_);
        return true;
    }

    /// A coroutine that is destroyed while it is suspended destroys its scopes when the portal is gone: then there is
    /// nothing to be undone. One of others that goes on elsewhere leaves the portal as it is: better than a guess.
    void allow() noexcept {
        bool const on_heap = forbids_ != &kind_;
        if (!forbids_->portal_is_gone) {
            if (portal_ != detail::raw_current_portal()) {
                forbids_->scope_is_gone = on_heap;
                return;
            }
            portal_->allow(*forbids_);
        }
        if (on_heap)
            delete forbids_;
    }

    detail::forbidden_kind kind_;
    detail::forbidden_kind* forbids_ = &kind_; ///< what the portal refers to: that, or a copy on the heap
    detail::portal_base* portal_;              ///< null: there is none that could await
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
