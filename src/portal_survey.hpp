// SPDX-License-Identifier: MIT
// Looks at all portals of the process, while they go on.
#pragma once

#include "suspended_backtrace.hpp"

#include <greenback/dump_portals.hpp>

#include <cstddef>
#include <vector>

namespace greenback::detail {

/// What was seen: each portal as it was at some moment.
class portal_survey {
public:
    /// Looks. @throws std::bad_alloc
    portal_survey();

    std::size_t size() const noexcept { return portals_.size(); }
    std::size_t suspended() const noexcept { return suspended_; }
    portal_info operator[](std::size_t i) const noexcept;

private:
    struct seen {
        portal_info info;       // its backtrace is yet to be filled in: what it points to moves as the vector grows
        std::size_t first_call; // of `calls_`
        std::size_t call_count;
    };

    std::vector<seen> portals_;
    std::vector<void*> calls_;
    std::size_t suspended_ = 0;
};

} // namespace greenback::detail
