// SPDX-License-Identifier: MIT

#include "log.hpp"

#include <greenback/stack.hpp>

#include <atomic>
#include <cstdio>

namespace greenback {
namespace {

std::atomic<log_handler> destination{nullptr}; // nullptr: stderr. Written by set_log_handler
std::atomic<unsigned> said{0}; // one bit per topic, set by whoever says it first; a forked child inherits it

} // namespace

namespace detail::log {

bool first_time(unsigned topic) noexcept {
    unsigned const bit = 1U << topic;
    return (said.fetch_or(bit, std::memory_order_relaxed) & bit) == 0;
}

void line(char const* text) noexcept {
    if (log_handler const f = destination.load(std::memory_order_acquire))
        return f(text);
    std::fprintf(stderr, "%s\n", text);
}

} // namespace detail::log

log_handler set_log_handler(log_handler handler) noexcept {
    return destination.exchange(handler, std::memory_order_acq_rel);
}

} // namespace greenback
