// SPDX-License-Identifier: MIT
// The examples build on either backend: this header makes `asio::` mean the one that greenback was built for.
#pragma once

#if defined(GREENBACK_USE_BOOST_ASIO)

#include <boost/asio.hpp>

namespace asio = boost::asio;
using error_code = boost::system::error_code;

#else

#include <asio.hpp>

using error_code = asio::error_code;

#endif
