// error: the function takes an lvalue reference, and would be passed a copy: write std::ref\(x\)
// SPDX-License-Identifier: MIT

#include <greenback/greenback.hpp>

greenback::asio::awaitable<void> task() {
    int calls = 0;
    greenback::pooled_stack const stack;
    co_await greenback::with_portal_run_sync(std::allocator_arg, stack, [](auto& x) { ++x; }, calls);
}
