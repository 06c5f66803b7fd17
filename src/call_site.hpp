// SPDX-License-Identifier: MIT
// Where synchronous code waits: at an `await_`, whose caller's place is known, or for an operation that `use_portal`
// has started, or in one of libc's calls, whose names are.
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

/// The name of libc's blocking call, if `where` is in one of the functions of src/blocking_calls/libc_calls.cpp that take
/// their place: "ssize_t greenback_recv(int, void*, size_t, int)". Else empty. Allocates nothing.
inline std::string_view blocking_call_at(std::source_location where) noexcept {
    if (!std::string_view(where.file_name()).ends_with("blocking_calls/libc_calls.cpp"))
        return {};
    std::string_view text = where.function_name();
    constexpr std::string_view label = "greenback_";
    std::size_t const start = text.find(label), end = text.find('(');
    if (start == text.npos || end == text.npos || end < start)
        return {};
    return text.substr(start + label.size(), end - start - label.size());
}

} // namespace greenback::detail
