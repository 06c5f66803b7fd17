// error: the function takes an lvalue reference, and would be passed a copy: write std::ref\(x\)
// SPDX-License-Identifier: MIT

#include <greenback/greenback.hpp>

greenback::asio::awaitable<void> task() {
    greenback::portal portal;
    int calls = 0;
    co_await portal.run([](int& x) { ++x; }, calls);
}
