// SPDX-License-Identifier: MIT
//
// Two parts of one program, perhaps in two shared objects: each makes portals, and has functions that await.
#pragma once

#include <greenback/greenback.hpp>

#include <asio.hpp>

#include <functional>
#include <stdexcept>

#define SHOWN [[gnu::visibility("default")]]

struct SHOWN problem : std::runtime_error {
    using std::runtime_error::runtime_error;
};

using function = std::function<int(asio::any_io_executor)>;

#define DECLARE_PART(name) \
    namespace name { \
    /* Calls `f` through a portal that this part makes. */ \
    SHOWN asio::awaitable<int> in_portal(function f); \
    SHOWN asio::awaitable<int> in_portal_of_task(function f); \
    /* Functions that await in this part. */ \
    SHOWN int wait(asio::any_io_executor executor); \
    SHOWN int fail(asio::any_io_executor executor); \
    SHOWN int wait_for_ever(asio::any_io_executor executor, int& unwound); \
    SHOWN int move_about(asio::any_io_executor executor, int times); \
    }

SHOWN int consumer_main(); // where main() is elsewhere
DECLARE_PART(first)
DECLARE_PART(second)
