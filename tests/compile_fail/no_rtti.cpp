// error: greenback needs RTTI
// options: -fno-rtti
// SPDX-License-Identifier: MIT

#include <greenback/greenback.hpp>
