// SPDX-License-Identifier: MIT
//
// Portals of every kind, each made while memory or stacks may be wanting, where that is defined.
#pragma once

#include "soak/counts.hpp"
#include "soak/dice.hpp"
#include "soak/faults.hpp"

#include "support/asio.hpp"

#include <optional>
#include <string_view>
#include <utility>

namespace soak {

template <class F> asio::awaitable<void> coroutine_that_calls(F f) {
    f();
    co_return;
}

/// Calls the synchronous function `f` in the calling task, through a portal of a kind drawn.
/// @throws what `f` throws · `std::bad_alloc` before `f` begins
template <class F> asio::awaitable<void> in_some_portal(F f) {
    switch (below(7)) {
    case 0:
        count("kind: with_portal_run_sync");
        co_await greenback::with_portal_run_sync(std::move(f));
        break;
    case 1:
        count("kind: with_portal_run_sync, a stack of one's own");
        co_await greenback::with_portal_run_sync(std::allocator_arg, failing_stack(), std::move(f));
        break;
    case 2: {
        count("kind: portal::run");
        std::optional<greenback::portal> portal;
        {
            memory_window const window;
            if (one_in(2))
                portal.emplace();
            else
                portal.emplace(std::allocator_arg, failing_stack());
        }
        for (unsigned n = below(3); n != 0; --n) { // the stack is used again
            co_await portal->run([] { greenback::sleep_for(std::chrono::milliseconds(1)); });
        }
        co_await portal->run(std::move(f));
        break;
    }
    case 3:
        count("kind: ensure_portal");
        co_await greenback::ensure_portal();
        f();
        break;
    case 4:
        count("kind: with_portal_run");
        co_await greenback::with_portal_run(coroutine_that_calls<F>, std::move(f));
        break;
    case 5:
        count("kind: with_portal_run_tree");
        co_await greenback::with_portal_run_tree(coroutine_that_calls<F>, std::move(f));
        break;
    default: {
        count("kind: bestow_portal");
        auto task = [&] {
            auto plain = coroutine_that_calls(std::move(f));
            memory_window const window;
            return greenback::bestow_portal(std::move(plain));
        }();
        co_await std::move(task);
    }
    }
}

} // namespace soak
