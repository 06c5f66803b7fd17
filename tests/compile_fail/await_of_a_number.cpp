// error: greenback::await_ takes what co_await takes in an Asio task
// SPDX-License-Identifier: MIT

#include <greenback/greenback.hpp>

void f() { greenback::await_(42); }
