// SPDX-License-Identifier: MIT
//
// greenback, and whichever Asio it was built for under the name `asio`.
#pragma once

#include <greenback/greenback.hpp>

#include <asio.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#if GREENBACK_ASIO_VERSION < 102400
#include <asio/experimental/deferred.hpp>
#endif

namespace test {

using greenback::error_code;
using greenback::system_error;

#if GREENBACK_ASIO_VERSION < 102400
inline constexpr auto& deferred = asio::experimental::deferred;
#else
inline constexpr auto& deferred = asio::deferred;
#endif

} // namespace test
