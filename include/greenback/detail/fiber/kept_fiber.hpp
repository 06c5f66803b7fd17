// SPDX-License-Identifier: MIT
// The fiber of a `basic_portal`: taken at its first run, kept between runs, given back when the last owner has gone.
#pragma once

#include <greenback/detail/config.hpp>
#include <greenback/detail/fiber/fiber_source.hpp>
#include <greenback/detail/throw_error.hpp>

#include <functional>
#include <memory>
#include <utility>

namespace greenback::detail {

class kept_fiber {
public:
    kept_fiber() = default;
    template <class StackAllocator>
    explicit kept_fiber(allocated_fiber_source<StackAllocator> source)
        : source_([source = std::make_shared<allocated_fiber_source<StackAllocator>>(std::move(source))](
                      thread_state& here) -> fiber& { return source->take(here); }) {}
    kept_fiber(kept_fiber const&) = delete;
    ~kept_fiber() {
        if (fiber_)
            return_fiber(this_thread(), *fiber_);
    }

    fiber& take(thread_state& here) {
        if (!fiber_)
            fiber_ = source_ ? &source_(here) : &borrow_fiber(here);
        return *fiber_;
    }
    fiber* taken() const noexcept { return fiber_; }
    bool busy = false; ///< a function runs, or waits, on it. Written where it starts and where it ends.

private:
    friend class kept_fiber_owner;
    unsigned owners_ = 0;
    fiber* fiber_ = nullptr;
    std::function<fiber&(thread_state&)> source_; ///< empty: the library's pool
};

/// Shared by a portal and its runs. Counted without atomics: a portal and its runs belong to one task at a time.
class kept_fiber_owner {
public:
    explicit kept_fiber_owner(kept_fiber* kept) noexcept : kept_(kept) { ++kept_->owners_; }
    kept_fiber_owner(kept_fiber_owner const& other) noexcept : kept_(other.kept_) {
        if (kept_)
            ++kept_->owners_;
    }
    kept_fiber_owner(kept_fiber_owner&& other) noexcept : kept_(std::exchange(other.kept_, nullptr)) {}
    kept_fiber_owner& operator=(kept_fiber_owner other) noexcept {
        std::swap(kept_, other.kept_);
        return *this;
    }
    GREENBACK_SWITCH_PATH ~kept_fiber_owner() {
        if (kept_ && --kept_->owners_ == 0) [[unlikely]]
            end();
    }
    kept_fiber* operator->() const noexcept { return kept_; }

    /// For one run. One that was moved from owns nothing, and begins anew.
    GREENBACK_SWITCH_PATH kept_fiber_owner const& for_a_run() {
        if (!kept_) [[unlikely]]
            begin_anew();
        return *this;
    }

private:
    GREENBACK_COLD void end() noexcept { delete kept_; }
    GREENBACK_COLD void begin_anew() { *this = kept_fiber_owner(new kept_fiber()); }

    kept_fiber* kept_; ///< null once moved from
};

/// That fiber for one run. Busy: from `occupy`, or the shortcut, to `vacate` or `give_back`.
class kept_fiber_source {
public:
    explicit kept_fiber_source(kept_fiber_owner kept) noexcept : kept_(std::move(kept)) {}

    /// Knows the fiber, if the portal has one yet: finding it through the portal would be two loads more on the way to
    /// the fiber's stack pointer, which everything else waits for.
    class shortcut {
    public:
        explicit shortcut(kept_fiber_source& from) noexcept : fiber_(from.kept_->taken()) {}
        fiber* take(kept_fiber_source& from, thread_state& here) const noexcept {
            if (!fiber_ || !here.exceptions || from.kept_->busy) [[unlikely]]
                return nullptr;
            from.kept_->busy = true;
            return fiber_;
        }

    private:
        fiber* fiber_;
    };

    /// @throws portal_busy
    void occupy() {
        if (kept_->busy)
            throw_portal_busy();
        kept_->busy = true;
    }
    void vacate() noexcept { kept_->busy = false; }
    fiber& take(thread_state& here) {
        try {
            return kept_->take(here);
        } catch (...) {
            vacate();
            throw;
        }
    }
    /// It stays with the portal.
    void give_back(thread_state&, fiber&) noexcept { vacate(); }

private:
    kept_fiber_owner kept_;
};
static_assert(fiber_source<kept_fiber_source>);

} // namespace greenback::detail
