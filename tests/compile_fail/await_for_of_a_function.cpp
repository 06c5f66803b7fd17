// error: greenback::await_for takes an asio::awaitable\. For a synchronous function write await_\(with_timeout
// SPDX-License-Identifier: MIT

#include <greenback/await_for.hpp>

void use() {
    greenback::await_for(std::chrono::seconds(1), [] {});
}
