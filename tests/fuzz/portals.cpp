// SPDX-License-Identifier: MIT
//
// The entry of libFuzzer: the same scenario as the model and on portals.

#include "fuzz/portals.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    std::string const fault = fuzz::find_fault({data, size});
    if (!fault.empty()) {
        std::fprintf(stderr, "fault: %s\n", fault.c_str());
        std::abort();
    }
    return 0;
}

// A switch that takes a stack for the first time would map a fake one for it, of some MiB, and give it back at its end:
// nine tenths of the time.
extern "C" char const* __asan_default_options() { return "detect_stack_use_after_return=0"; }
