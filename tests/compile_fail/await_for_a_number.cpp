// error: greenback: the time to wait is a std::chrono::duration
// SPDX-License-Identifier: MIT

#include <greenback/await_for.hpp>

void use(greenback::asio::awaitable<void> task) { greenback::await_for(2, std::move(task)); }
