// error: with_portal_run and with_portal_run_tree take a function that returns an asio::awaitable.*with_portal_run_sync
// SPDX-License-Identifier: MIT

#include <greenback/greenback.hpp>

int synchronous() { return 1; }

greenback::asio::awaitable<void> task() {
    int const n = co_await greenback::with_portal_run(synchronous);
    (void)n;
}
