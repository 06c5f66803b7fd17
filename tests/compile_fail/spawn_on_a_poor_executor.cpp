// error: greenback::spawn takes an executor that asio::any_io_executor can hold
// SPDX-License-Identifier: MIT

#include <greenback/greenback.hpp>

using executor_without_context = greenback::asio::execution::any_executor<>;

void start(executor_without_context const& executor) {
    greenback::spawn(executor, [] {}, greenback::rethrow);
}
