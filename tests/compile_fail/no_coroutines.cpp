// error: greenback needs C\+\+20 coroutines
// SPDX-License-Identifier: MIT

#undef __cpp_impl_coroutine // as -fno-coroutines does

#include <greenback/greenback.hpp>
