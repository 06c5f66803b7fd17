// SPDX-License-Identifier: MIT
//
// Every kind of portal, for tests of what is the same in all of them.
#pragma once

#include "support/asio.hpp"
#include "support/catch.hpp"

#include <array>
#include <concepts>
#include <cstddef>
#include <memory>
#include <ostream>
#include <utility>

/// Declares `how`, a test::made_by, and runs the test case once with each of its values, which stands in the report of
/// whatever fails from here to the end of the block. Several in one test case run it with every combination.
#define FOR_EVERY_KIND_OF_PORTAL(how) \
    auto const how = GENERATE(from_range(test::every_kind)); \
    CAPTURE(how)

namespace test {

enum class made_by { with_portal_run_sync, portal_object, with_portal_run, bestow_portal, ensure_portal };

inline constexpr std::array every_kind{made_by::with_portal_run_sync, made_by::portal_object, made_by::with_portal_run,
                                       made_by::bestow_portal, made_by::ensure_portal};

/// One kind after the other, for the first, second … of many portals.
template <std::integral Number> constexpr made_by kind_in_turn(Number i) {
    return every_kind[static_cast<std::size_t>(i) % every_kind.size()];
}

inline std::ostream& operator<<(std::ostream& out, made_by how) {
    constexpr std::array names{"with_portal_run_sync", "portal::run", "with_portal_run", "bestow_portal",
                               "ensure_portal"};
    static_assert(names.size() == every_kind.size());
    return out << names[static_cast<std::size_t>(how)];
}

template <class F> asio::awaitable<void> coroutine_that_calls(F f) {
    f();
    co_return;
}

/// Calls the synchronous function `f` in the calling task through a portal of the given kind.
template <class F> asio::awaitable<void> in_portal(made_by how, F f) {
    if (how == made_by::with_portal_run_sync) {
        co_await greenback::with_portal_run_sync(std::move(f));
    } else if (how == made_by::portal_object) {
        greenback::portal p;
        co_await p.run(std::move(f));
    } else if (how == made_by::with_portal_run) {
        co_await greenback::with_portal_run(coroutine_that_calls<F>, std::move(f));
    } else if (how == made_by::bestow_portal) {
        co_await greenback::bestow_portal(coroutine_that_calls(std::move(f)));
    } else {
        co_await greenback::ensure_portal();
        f();
    }
}

} // namespace test
