// SPDX-License-Identifier: MIT
// The pump for the Asio at hand. `task_pump<Executor>` has the same functions in both: they are one part of the portal,
// which alone calls them, and the only one that depends on when Asio initiates an operation.
#pragma once

#include <greenback/detail/asio/backend.hpp>

#if GREENBACK_ASIO_VERSION < 102400
#include <greenback/detail/task/pump_before_1_24.hpp>
#else
#include <greenback/detail/task/pump_since_1_24.hpp>
#endif
