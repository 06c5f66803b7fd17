// SPDX-License-Identifier: MIT
// The pump for the Asio at hand. `task_pump<Executor>` has the same functions in both: they are one part of the portal,
// which alone calls them, and where nearly all stands that depends on when Asio initiates an operation; the rest asks
// `initiates_while_suspending`.
#pragma once

#include <greenback/detail/asio/backend.hpp>

#if GREENBACK_INITIATES_WHILE_SUSPENDING
#include <greenback/detail/task/pump_before_1_24.hpp>
#else
#include <greenback/detail/task/pump_since_1_24.hpp>
#endif
