// SPDX-License-Identifier: MIT
//
// Bytes to a scenario, which is run as the model and on portals.
#pragma once

#include "stress/decisions.hpp"
#include "stress/scenario.hpp"

#include <cstdint>
#include <span>
#include <string>

namespace fuzz {

/// @returns what is not as in the model, or not as it should be; nothing, if all is well
inline std::string find_fault(std::span<std::uint8_t const> bytes) {
    stress::byte_decisions decisions(bytes);
    return stress::find_difference(stress::make_scenario(decisions));
}

} // namespace fuzz
