// SPDX-License-Identifier: MIT
//
// The one place that knows which Catch2 is installed.
#pragma once

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp> // Catch2 3
#else
#include <catch2/catch.hpp> // Catch2 2.13
#endif

#include <string>

namespace test {

/// A matcher of texts that contain `part`.
inline auto has_text(std::string const& part) {
#if __has_include(<catch2/catch_all.hpp>)
    return Catch::Matchers::ContainsSubstring(part);
#else
    return Catch::Matchers::Contains(part);
#endif
}

} // namespace test
