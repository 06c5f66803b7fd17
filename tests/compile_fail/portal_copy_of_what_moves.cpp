// error: the function and its arguments are copied, and one of them can.t be: write std::move\(x\)
// SPDX-License-Identifier: MIT

#include <greenback/greenback.hpp>

#include <memory>

void take(std::unique_ptr<int> what);

greenback::asio::awaitable<void> task() {
    auto what = std::make_unique<int>(1);
    co_await greenback::with_portal_run_sync(take, what);
}
