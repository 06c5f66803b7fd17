// SPDX-License-Identifier: MIT
// The library's rare lines of text for a person, each at most once in a process's life.
#pragma once

namespace greenback::detail::log {

/// What there is to say something on: the values of `stack_limit`, and this.
constexpr unsigned unguarded_topic = 31;

/// Whether nobody has said anything on this topic yet. From now on somebody has.
bool first_time(unsigned topic) noexcept;

/// Writes one line, to where `set_log_handler` says.
void line(char const* text) noexcept;

} // namespace greenback::detail::log
