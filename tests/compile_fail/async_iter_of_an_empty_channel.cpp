// error: greenback::async_iter takes a function that returns an awaitable of std::optional<T>, a channel
// SPDX-License-Identifier: MIT

#include <greenback/async_iter.hpp>

#if defined(GREENBACK_USE_BOOST_ASIO)
#include <boost/asio/experimental/channel.hpp>
#else
#include <asio/experimental/channel.hpp>
#endif

using namespace greenback;

void use(asio::experimental::channel<void()>& events) {
    for (int i : async_iter(events))
        (void)i;
}
