// error: the function can.t be called with these arguments.*std::ref\(x\) for a parameter that is an lvalue reference
// SPDX-License-Identifier: MIT

#include <greenback/greenback.hpp>

#include <memory>

void store(int& calls, std::unique_ptr<int> what);

greenback::asio::awaitable<void> task() {
    int calls = 0;
    co_await greenback::with_portal_run_sync(store, calls, std::make_unique<int>(1));
}
