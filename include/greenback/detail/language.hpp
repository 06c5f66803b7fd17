// SPDX-License-Identifier: MIT
// What the compiler must be told. The first thing that each public header includes, so that a build that lacks it is
// told so before anything else goes wrong.
#pragma once

#if !defined(__cplusplus) || __cplusplus < 202002L
#error \
    "greenback needs C++20: compile with -std=c++20 (CMake: target_compile_features(program PRIVATE cxx_std_20), or CMAKE_CXX_STANDARD 20)."
#elif !defined(__cpp_impl_coroutine)
#error \
    "greenback needs C++20 coroutines, which this compiler has not, or which an option such as -fno-coroutines has switched off: use g++ 12 or clang 16, or newer, with -std=c++20."
#elif !defined(__cpp_rtti)
#error "greenback needs RTTI, as Asio does: executors are compared by their types. Compile without -fno-rtti."
#endif
