// SPDX-License-Identifier: MIT
//
// What a server does with a connection. A request is a line, "<number> <what> <how much>"; an answer is a line that begins
// with the number. What the rest of it must be, both sides know.
#pragma once

#include "soak/site.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace soak {

/// The right answer to request `number`, of so many characters.
std::string payload(std::uint64_t number, std::size_t size);

/// Serves until the peer has finished, in synchronous code on a portal.
void session(site& home, any_socket peer);

} // namespace soak
