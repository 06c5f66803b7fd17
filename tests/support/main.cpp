// SPDX-License-Identifier: MIT
//
// The tests' main function. With Catch2 3 it comes from the library Catch2WithMain, and this file is empty.
#if !__has_include(<catch2/catch_all.hpp>)
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
#endif
