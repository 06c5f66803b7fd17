// error: the function takes an lvalue reference, and would be passed a copy: write std::ref\(x\)
// SPDX-License-Identifier: MIT

#include <greenback/greenback.hpp>

int count(int& calls) { return ++calls; }

greenback::asio::awaitable<void> task() {
    int calls = 0;
    int const n = co_await greenback::with_portal_run_sync(count, calls);
    (void)n;
}
