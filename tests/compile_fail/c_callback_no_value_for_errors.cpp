// error: greenback: this C function pointer returns a value, so say what it is to return when the function has thrown
// SPDX-License-Identifier: MIT

#include <greenback/c_callback.hpp>

int c_function(int (*callback)(void* user), void* user);

int use() {
    greenback::c_callback cb([] { return 0; });
    return c_function(cb, &cb);
}
