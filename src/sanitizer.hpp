// SPDX-License-Identifier: MIT
// AddressSanitizer, as the compiled part has to do with it; without it, nothing.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define GREENBACK_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GREENBACK_ASAN 1
#endif
#endif

#if defined(GREENBACK_ASAN)
#include <sanitizer/asan_interface.h>
#endif

namespace greenback::detail::sanitizer {

/// Lets memory be used again, whatever is marked there.
inline void unpoison([[maybe_unused]] void* begin, [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(GREENBACK_ASAN)
    // Mostly there is nothing to do, and asking is cheaper: it commits no shadow memory.
    if (__asan_region_is_poisoned(begin, bytes))
        __asan_unpoison_memory_region(begin, bytes);
#endif
}

} // namespace greenback::detail::sanitizer
