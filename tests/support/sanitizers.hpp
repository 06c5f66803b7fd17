// SPDX-License-Identifier: MIT
//
// Which sanitizer the tests are built with: g++ defines macros, clang has __has_feature. A test that is about a
// sanitizer asks the preprocessor; `sanitized` is for one that must do less, since a sanitizer makes it slow or large.
#pragma once

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TEST_UNDER_ASAN 1
#elif __has_feature(thread_sanitizer)
#define TEST_UNDER_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(TEST_UNDER_ASAN)
#define TEST_UNDER_ASAN 1
#elif defined(__SANITIZE_THREAD__) && !defined(TEST_UNDER_TSAN)
#define TEST_UNDER_TSAN 1
#endif

namespace test {

#if defined(TEST_UNDER_ASAN) || defined(TEST_UNDER_TSAN)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif

} // namespace test
