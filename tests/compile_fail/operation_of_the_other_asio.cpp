// error: greenback: this comes from (Boost.Asio|standalone Asio), .*GREENBACK_USE_BOOST_ASIO
// needs: both
// SPDX-License-Identifier: MIT

#include <greenback/greenback.hpp>

#if defined(GREENBACK_USE_BOOST_ASIO)
#include <asio.hpp>
#include <asio/experimental/deferred.hpp>
namespace other = asio;
#else
#include <boost/asio.hpp>
#include <boost/asio/experimental/deferred.hpp>
namespace other = boost::asio;
#endif

void f(other::steady_timer& timer) { greenback::await_(timer.async_wait(other::experimental::deferred)); }
