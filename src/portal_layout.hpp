// SPDX-License-Identifier: MIT
// Where the members of a portal lie that are looked at from elsewhere: by other threads, and by debuggers.
#pragma once

#include <greenback/detail/fiber/portal_base.hpp>

#include <cstddef>

namespace greenback::detail {

// `offsetof` need not have an answer for types with virtual functions; where they have no virtual bases, every compiler
// here gives the right one.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
struct portal_layout {
    static constexpr std::size_t site = offsetof(portal_base, site);
    static constexpr std::size_t kind = offsetof(portal_base, kind_);
    static constexpr std::size_t outside = offsetof(forbidden_kind, outside);
};
#pragma GCC diagnostic pop

} // namespace greenback::detail
