// error: greenback: c_callback's function can't be called with the C function pointer's parameters
// SPDX-License-Identifier: MIT

#include <greenback/c_callback.hpp>

int c_function(int (*callback)(void* user, int row), void* user);

int use() {
    greenback::c_callback cb([](void*, int) { return 0; }, -1); // the void* is not passed on
    return c_function(cb, &cb);
}
