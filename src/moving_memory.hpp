// SPDX-License-Identifier: MIT
// Looking at memory that somebody else may be writing.
#pragma once

#include <cstdint>

namespace greenback::detail {

/// One aligned word, whatever is happening to it; the processor loads it whole. The sanitizers are not to see that: a
/// race is what the caller reckons with, and a stack has red zones.
__attribute__((noinline, no_sanitize("address"), no_sanitize("thread"))) inline std::uintptr_t
load_word(void const* at) noexcept {
    return *static_cast<std::uintptr_t const volatile*>(at);
}

} // namespace greenback::detail
