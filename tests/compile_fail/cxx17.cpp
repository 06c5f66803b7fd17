// error: greenback needs C\+\+20: compile with -std=c\+\+20 .*cxx_std_20.*CMAKE_CXX_STANDARD 20
// options: -std=c++17
// SPDX-License-Identifier: MIT

#include <greenback/greenback.hpp>
