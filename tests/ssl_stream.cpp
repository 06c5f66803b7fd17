// SPDX-License-Identifier: MIT

#include "support/asio.hpp"
#include "support/catch.hpp"
#include "support/tasks.hpp"

#if defined(GREENBACK_USE_BOOST_ASIO)
#include <boost/asio/ssl.hpp>
#else
#include <asio/ssl.hpp>
#endif
