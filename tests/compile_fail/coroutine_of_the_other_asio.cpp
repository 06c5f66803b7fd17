// error: greenback: this comes from (Boost.Asio|standalone Asio), .*GREENBACK_USE_BOOST_ASIO
// needs: both
// SPDX-License-Identifier: MIT

#include <greenback/greenback.hpp>

#if defined(GREENBACK_USE_BOOST_ASIO)
#include <asio/awaitable.hpp>
using other = asio::awaitable<int>;
#else
#include <boost/asio/awaitable.hpp>
using other = boost::asio::awaitable<int>;
#endif

other child();

greenback::asio::awaitable<void> task() {
    int const n = co_await greenback::with_portal_run(child);
    (void)n;
}
