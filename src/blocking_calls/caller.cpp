// SPDX-License-Identifier: MIT
#include "caller.hpp"

namespace greenback::detail::blocking::inline GREENBACK_BACKEND_NAMESPACE {
namespace {
/// Written by the child's only thread, before it goes on.
portal_base* copied_portal = nullptr;
} // namespace

any_portal* caller::look() noexcept {
    portal_base* const p = find_portal();
    if (!p || p == copied_portal) [[unlikely]]
        return nullptr;
    p->ensure_prepared();
    // One that is forbidden to await has a backend of its own.
    if (!p->abandoned() && (p->backend() != GREENBACK_BACKEND || !p->serving())) [[unlikely]]
        return nullptr;
    return static_cast<any_portal*>(p);
}

void stay_plain_on_this_portal() noexcept { copied_portal = raw_current_portal(); }

} // namespace greenback::detail::blocking::inline GREENBACK_BACKEND_NAMESPACE
