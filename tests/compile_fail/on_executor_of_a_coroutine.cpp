// error: greenback: the function returns an asio::awaitable, which nobody would await\. on_executor takes a synchronous
// SPDX-License-Identifier: MIT

#include <greenback/on_executor.hpp>

greenback::asio::awaitable<int> coroutine();

void use(greenback::asio::io_context& context) { greenback::on_executor(context, coroutine); }
