// error: greenback: this comes from (Boost.Asio|standalone Asio), .*GREENBACK_USE_BOOST_ASIO
// needs: both
// SPDX-License-Identifier: MIT

#include <greenback/greenback.hpp>

#if defined(GREENBACK_USE_BOOST_ASIO)
#include <asio/io_context.hpp>
namespace other = asio;
#else
#include <boost/asio/io_context.hpp>
namespace other = boost::asio;
#endif

void start(other::io_context& loop) {
    greenback::spawn(loop, [] {}, greenback::rethrow);
}
