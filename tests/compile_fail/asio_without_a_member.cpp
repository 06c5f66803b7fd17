// error: greenback: this Asio .ASIO_VERSION [0-9]+. has no awaitable_frame_base::caller_, which a portal needs
// SPDX-License-Identifier: MIT
// An Asio that calls a private member otherwise.
#define caller_ renamed_caller_
#include <greenback/detail/asio/backend.hpp>
#undef caller_

#include <greenback/await.hpp>

void f(greenback::asio::awaitable<void> x) { greenback::await_(std::move(x)); }
