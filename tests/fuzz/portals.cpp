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

// Without fake stacks, of which each fiber would map one of some MiB when it begins, and unmap it when it ends. The others
// are for speed, too: what is freed stays in the cache, and stacks of calls are short.
extern "C" char const* __asan_default_options() {
    return "detect_stack_use_after_return=0:quarantine_size_mb=16:malloc_context_size=8";
}
