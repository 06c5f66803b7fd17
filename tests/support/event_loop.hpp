// SPDX-License-Identifier: MIT
//
// Event loops that end, and a test that fails where one does not.
#pragma once

#include "support/asio.hpp"

#include <chrono>
#include <stdexcept>

namespace test {

/// How long a test may hang before it fails. No test depends on how long anything takes.
inline constexpr std::chrono::seconds hang_guard(100);

struct hung : std::runtime_error {
    hung() : std::runtime_error("the event loop still has work to do after a long time") {}
};

/// Runs until there is no work left.
inline void run_all(asio::io_context& context) {
    context.restart();
    context.run_for(hang_guard);
    if (!context.stopped())
        throw hung();
}

/// Runs what can be run without waiting for time to pass.
inline void poll_all(asio::io_context& context) {
    context.restart();
    context.poll();
}

} // namespace test
