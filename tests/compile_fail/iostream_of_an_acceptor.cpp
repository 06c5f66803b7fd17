// error: greenback::sync_stream<S> wants an asynchronous stream S
// SPDX-License-Identifier: MIT

#include <greenback/basic_iostream.hpp>

#if defined(GREENBACK_USE_BOOST_ASIO)
#include <boost/asio/ip/tcp.hpp>
#else
#include <asio/ip/tcp.hpp>
#endif

void talk(greenback::asio::ip::tcp::acceptor& acceptor) {
    greenback::basic_iostream<greenback::asio::ip::tcp::acceptor&> io(acceptor);
}
