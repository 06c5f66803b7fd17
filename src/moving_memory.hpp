// SPDX-License-Identifier: MIT
// Looking at memory that somebody else may be writing.
#pragma once

#include <cstdint>

namespace greenback::detail {

/// One aligned word, whatever is happening to it; the processor loads it whole. The sanitizers are not to see that: a
/// race is what the caller reckons with, and a stack has red zones.
template <class T>
__attribute__((noinline, no_sanitize("address"), no_sanitize("thread"))) std::uintptr_t
load_word(T const* at) noexcept {
    return *reinterpret_cast<std::uintptr_t const volatile*>(at);
}

} // namespace greenback::detail
