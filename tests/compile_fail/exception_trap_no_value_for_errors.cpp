// error: greenback: the function returns a value, so say what run is to return when it has thrown: trap\.run\(f, -1\)
// SPDX-License-Identifier: MIT

#include <greenback/exception_trap.hpp>

void callback(greenback::exception_trap& trap) {
    trap.run([] { return 1; });
}
