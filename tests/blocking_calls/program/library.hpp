// SPDX-License-Identifier: MIT
//
// A shared library that makes blocking calls, and with it the only part of the program that does.
#pragma once

namespace program {

/// Two tasks on one thread, of which one waits in a blocking call for the other. @returns 0, or what went wrong
int run_two_tasks();

} // namespace program
