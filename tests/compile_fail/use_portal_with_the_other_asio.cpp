// error: greenback::use_portal was taken for a handler.*this comes from (Boost.Asio|standalone Asio), .*GREENBACK_USE_BOOST_ASIO
// needs: both
// SPDX-License-Identifier: MIT

#include <greenback/greenback.hpp>

#if defined(GREENBACK_USE_BOOST_ASIO)
#include <asio/steady_timer.hpp>
using timer = asio::steady_timer;
#else
#include <boost/asio/steady_timer.hpp>
using timer = boost::asio::steady_timer;
#endif

void f(timer& t) { t.async_wait(greenback::use_portal); }
