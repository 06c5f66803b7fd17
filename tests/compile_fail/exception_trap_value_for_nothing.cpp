// error: greenback: the function returns nothing, so there is nothing to return when it has thrown: trap\.run\(f\)
// SPDX-License-Identifier: MIT

#include <greenback/exception_trap.hpp>

void callback(greenback::exception_trap& trap) {
    trap.run([] {}, -1);
}
