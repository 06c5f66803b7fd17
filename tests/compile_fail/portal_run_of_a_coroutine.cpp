// error: the function returns an asio::awaitable, which nobody would await.*write with_portal_run\(f, args
// SPDX-License-Identifier: MIT

#include <greenback/greenback.hpp>

greenback::asio::awaitable<void> task() {
    greenback::portal portal;
    co_await portal.run([]() -> greenback::asio::awaitable<void> { co_return; });
}
