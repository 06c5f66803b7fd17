// error: the function returns an asio::awaitable, which nobody would await.*co_spawn\(executor, with_portal_run
// SPDX-License-Identifier: MIT

#include <greenback/greenback.hpp>

greenback::asio::awaitable<int> coroutine() { co_return 1; }

void start(greenback::asio::io_context& loop) { greenback::spawn(loop, coroutine, greenback::rethrow); }
