// error: greenback::spawn takes an executor or an execution context first
// SPDX-License-Identifier: MIT

#include <greenback/greenback.hpp>

void start() {
    greenback::spawn(42, [] {}, greenback::rethrow);
}
