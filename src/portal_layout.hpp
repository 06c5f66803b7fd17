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
class portal_layout : private portal_base { // to be let in; there are none
public:
    static consteval std::size_t of_site() noexcept { return offsetof(portal_layout, site); }
    static consteval std::size_t of_kind() noexcept { return offsetof(portal_layout, kind_); }
    static consteval std::size_t of_outside() noexcept { return offsetof(forbidden_kind, outside); }

protected:
    ~portal_layout() = default;
};
#pragma GCC diagnostic pop

} // namespace greenback::detail
