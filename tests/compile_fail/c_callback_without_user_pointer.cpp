// error: greenback: c_callback is for C function pointers with exactly one void\* parameter
// SPDX-License-Identifier: MIT

#include <greenback/c_callback.hpp>

int c_function(int (*callback)(int));

int use() {
    greenback::c_callback cb([](int) { return 0; }, -1);
    return c_function(cb);
}
