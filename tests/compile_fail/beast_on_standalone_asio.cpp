// error: greenback/beast.hpp needs greenback on Boost.Asio
// SPDX-License-Identifier: MIT
// options: -UGREENBACK_USE_BOOST_ASIO

#include <greenback/beast.hpp>
