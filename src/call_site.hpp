// SPDX-License-Identifier: MIT
// Where synchronous code waits: at an `await_`, whose caller's place is known, or for an operation that `use_portal`
// has started, whose name is.
#pragma once

#include <cstddef>
#include <source_location>
#include <string_view>

namespace greenback::detail {

/// Is `where` a place in use_portal.hpp, which `use_portal` notes instead of its caller's?
inline bool is_use_portal(std::source_location where) noexcept {
    return std::string_view(where.file_name()).ends_with("use_portal.hpp");
}

/// The type of the operation's initiation, out of the name of the function that took it: "... [with Initiation = X;
/// InitArgs = ..." by g++, "... Initiation = X, InitArgs = ..." by clang. Empty if that is not in it. Allocates
/// nothing: signal handlers ask.
inline std::string_view operation_at(std::source_location where) noexcept {
    std::string_view text = where.function_name();
    constexpr std::string_view label = "Initiation = ", next = " InitArgs = ";
    std::size_t const start = text.find(label);
    if (start == text.npos)
        return {};
    text.remove_prefix(start + label.size());
    std::size_t const end = text.find(next);
    return end == text.npos || end == 0 ? text : text.substr(0, end - 1); // without the ';' or ','
}

} // namespace greenback::detail
