// SPDX-License-Identifier: MIT
// 10. Helpers: several awaitables at the same time.
#pragma once

#include <greenback/detail/config.hpp>

#include <greenback/await.hpp>
#include <greenback/detail/operation/await_all_group.hpp>

#include <exception>
#include <memory>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>
#include <vector>

namespace greenback::inline GREENBACK_BACKEND_NAMESPACE {

/// Awaits all of `tasks` at the same time, as child tasks on this task's executor, and returns their results.
///
/// Children have no portal. For synchronous code pass `with_portal_run_sync(f, args...)`.
///
/// @pre as for `await_`.
/// @returns a `std::vector<T>` in the order of `tasks`, or `void` for a `T` that is `void`. `T` may be move-only, and
///     need not be default-constructible.
/// @throws what the first child to fail has thrown, as it is, when all have ended: the others get a terminal
///     cancellation at once. What those throw is dropped · `no_portal` · `executor_mismatch` · `abandoned`.
///
/// Cancellation: one requested of the task is passed on to every child, as what it is. If a child ends by it, that is
///     its failure: `operation_aborted`. A task already cancelled throws, and no child is started.
/// Thread safety: children run on the threads of the task's executor. On a bare `io_context`, `thread_pool` or
///     `system_executor` each has a strand, and they run at the same time if there are threads; on a strand one at a
///     time. For a concrete `Executor` type over several threads see docs/reference/await_all.md.
/// Cost: for each child that of `co_spawn`, a `post`, and two allocations if it gets a strand; for all together five
///     allocations and two stack switches.
/// Example: `std::vector<Page> pages = greenback::await_all(std::move(downloads));`
template <class T, class Executor>
std::conditional_t<std::is_void_v<T>, void, std::vector<T>>
await_all(std::vector<asio::awaitable<T, Executor>> tasks,
          std::source_location where = std::source_location::current()) {
    Executor const executor = await_(detail::executor_of_task<Executor>(), where);
    auto const start = [&](auto&& handler) {
        using handler_type = std::decay_t<decltype(handler)>;
        using group = detail::await_all_group<T, Executor, handler_type>;
        auto started = std::make_shared<group>(executor, tasks.size(), std::forward<decltype(handler)>(handler));
        group::start(std::move(started), std::move(tasks));
    };
    if constexpr (std::is_void_v<T>) {
        if (!tasks.empty())
            await_(
                [&](auto token) {
                    return asio::async_initiate<decltype(token), void(std::exception_ptr)>(start, token);
                },
                where);
    } else {
        std::vector<T> values;
        if (tasks.empty())
            return values;
        values.reserve(tasks.size());
        auto results = await_(
            [&](auto token) {
                return asio::async_initiate<decltype(token), void(std::exception_ptr, std::vector<std::optional<T>>)>(
                    start, token);
            },
            where);
        for (std::optional<T>& result : results)
            values.push_back(*std::move(result)); // NOLINT(bugprone-unchecked-optional-access): none has failed
        return values;
    }
}

} // namespace greenback::inline GREENBACK_BACKEND_NAMESPACE
