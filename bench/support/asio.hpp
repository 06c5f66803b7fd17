// SPDX-License-Identifier: MIT
// Asio of either backend, under one name.
#pragma once

#if defined(GREENBACK_USE_BOOST_ASIO)
#include <boost/asio.hpp>
#include <boost/asio/spawn.hpp> // not in the header above
namespace asio = boost::asio;
#else
#include <asio.hpp>
#endif
