// SPDX-License-Identifier: MIT
//
// For functions that a test looks for in a backtrace: one function each, whatever the compiler could make of them.
#pragma once

#if defined(__clang__)
#define ONE_FUNCTION [[gnu::noinline]]
#else
#define ONE_FUNCTION [[gnu::noipa]]
#endif
