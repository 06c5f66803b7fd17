// SPDX-License-Identifier: MIT
// The threads that look names up.
#pragma once

#include <greenback/detail/asio/backend.hpp>

namespace greenback::detail::blocking::inline GREENBACK_BACKEND_NAMESPACE {

/// In the child of a fork: they are the parent's. The next lookup starts others.
void forget_lookup_threads() noexcept;

} // namespace greenback::detail::blocking::inline GREENBACK_BACKEND_NAMESPACE
