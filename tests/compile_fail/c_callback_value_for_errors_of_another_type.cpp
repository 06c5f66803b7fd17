// error: greenback: c_callback's value for errors can't be converted to what the C function pointer returns
// SPDX-License-Identifier: MIT

#include <greenback/c_callback.hpp>

enum status { ok, failed };
int c_function(status (*callback)(void* user), void* user);

int use() {
    greenback::c_callback cb([] { return ok; }, 1);
    return c_function(cb, &cb);
}
