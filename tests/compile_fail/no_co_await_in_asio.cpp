// error: greenback needs co_await in (Boost.)?Asio.*ASIO_DISABLE_CO_AWAIT.*ASIO_HAS_CO_AWAIT
// SPDX-License-Identifier: MIT

#undef ASIO_HAS_CO_AWAIT
#define ASIO_DISABLE_CO_AWAIT
#define BOOST_ASIO_DISABLE_CO_AWAIT

#include <greenback/greenback.hpp>
