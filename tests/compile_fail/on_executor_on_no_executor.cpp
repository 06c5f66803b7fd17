// error: greenback::on_executor takes an executor or an execution context first
// SPDX-License-Identifier: MIT

#include <greenback/on_executor.hpp>

void use(int number) {
    greenback::on_executor(number, [] {});
}
