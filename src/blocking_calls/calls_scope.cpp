// SPDX-License-Identifier: MIT
#include <greenback/blocking_calls.hpp>

#include "../hold_across_fork.hpp"
#include "await_ready.hpp"

#include <greenback/detail/fiber/portal_base.hpp>
#include <greenback/detail/throw_error.hpp>

#include <mutex>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {
namespace {

/// The scopes of all portals, the innermost of each first. Few: only calls that have failed look, and what makes them.
constinit std::mutex mutex;
constinit std::mutex* const scopes_mutex = &mutex;
constinit blocking_calls_scope* first = nullptr;
[[maybe_unused]] int const across_fork = hold_across_fork<scopes_mutex>();

} // namespace

blocking_calls_scope::blocking_calls_scope() noexcept : portal_(raw_current_portal()) {
    if (!portal_)
        return;
    std::scoped_lock const lock(mutex);
    next_ = first;
    first = this;
}

blocking_calls_scope::~blocking_calls_scope() {
    if (!portal_)
        return;
    std::scoped_lock const lock(mutex);
    blocking_calls_scope** place = &first;
    while (*place != this)
        place = &(*place)->next_;
    *place = next_;
}

void blocking_calls_scope::rethrow() const {
    if (!failed_)
        return;
    if (static_cast<portal_base const*>(portal_)->abandoned())
        throw_abandoned();
    throw system_error(error_code(asio::error::operation_aborted), "greenback::blocking_call");
}

void blocking_calls_scope::call_has_failed(void const* portal) noexcept {
    std::scoped_lock const lock(mutex);
    blocking_calls_scope* s = first;
    while (s && s->portal_ != portal)
        s = s->next_;
    if (s)
        s->failed_ = true;
}

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE

namespace greenback::inline GREENBACK_BACKEND_NAMESPACE {

std::uint64_t blocking_calls_awaited() noexcept { return detail::blocking::waits_so_far(); }

} // namespace greenback::inline GREENBACK_BACKEND_NAMESPACE
