// error: an awaitable can be awaited only once: write await_\(std::move\(x\)\)
// SPDX-License-Identifier: MIT

#include <greenback/greenback.hpp>

void f(greenback::asio::awaitable<int>& x) { greenback::await_(x); }
