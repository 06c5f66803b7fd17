// SPDX-License-Identifier: MIT
// Asio of either backend, under one name.
#pragma once

#if defined(GREENBACK_USE_BOOST_ASIO)
#include <boost/asio.hpp>
namespace asio = boost::asio;
#else
#include <asio.hpp>
#endif
