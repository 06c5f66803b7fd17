// error: greenback: c_callback is for C function pointers with exactly one void\* parameter
// SPDX-License-Identifier: MIT

#include <greenback/c_callback.hpp>

void c_function(void (*free_block)(void* user, void* block), void* user);

void use() {
    greenback::c_callback cb([](void*) {});
    c_function(cb, &cb);
}
