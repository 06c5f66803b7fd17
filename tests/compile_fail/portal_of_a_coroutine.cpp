// error: the function returns an asio::awaitable, which nobody would await.*write with_portal_run\(f, args
// SPDX-License-Identifier: MIT

#include <greenback/greenback.hpp>

greenback::asio::awaitable<int> coroutine(int x) { co_return x; }

greenback::asio::awaitable<void> task() {
    int const n = co_await greenback::with_portal_run_sync(coroutine, 1);
    (void)n;
}
