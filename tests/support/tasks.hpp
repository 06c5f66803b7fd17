// SPDX-License-Identifier: MIT
//
// Tasks: started, or run to their end.
#pragma once

#include "support/asio.hpp"
#include "support/event_loop.hpp"

#include <exception>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace test {

template <class T, class Executor>
asio::awaitable<void, Executor> keep_result(asio::awaitable<T, Executor> task, std::optional<T>& result) {
    result.emplace(co_await std::move(task));
}

/// Starts a task whose exception nobody expects: it leaves the event loop.
template <class Where, class Executor> void spawn(Where&& where, asio::awaitable<void, Executor> task) {
    asio::co_spawn(where, std::move(task), [](std::exception_ptr e) {
        if (e)
            std::rethrow_exception(e);
    });
}

/// Runs a task to its end, alone on an executor of `context`. @returns its result. @throws its exception
template <class Where, class T, class Executor>
T run_task(asio::io_context& context, Where&& where, asio::awaitable<T, Executor> task) {
    std::exception_ptr error;
    bool ended = false;
    auto note_end = [&](std::exception_ptr e) {
        error = std::move(e);
        ended = true;
    };
    auto finish = [&] {
        run_all(context);
        if (!ended)
            throw std::logic_error("the task was destroyed before it ended");
        if (error)
            std::rethrow_exception(std::exchange(error, nullptr));
    };
    if constexpr (std::is_void_v<T>) {
        asio::co_spawn(where, std::move(task), note_end);
        finish();
    } else {
        std::optional<T> result;
        asio::co_spawn(where, keep_result(std::move(task), result), note_end);
        finish();
        return std::move(*result);
    }
}

template <class T> T run_task(asio::awaitable<T> task) {
    asio::io_context context(1);
    return run_task(context, context.get_executor(), std::move(task));
}

} // namespace test
