// SPDX-License-Identifier: MIT
// What the examples with libraries have in common: running tasks to their end beside a server that has none.
#pragma once

#include <asio.hpp>
#include <greenback/greenback.hpp>

#include <algorithm>
#include <exception>
#include <functional>
#include <stdexcept>
#include <utility>

inline void require(bool condition, char const* text) {
    if (!condition)
        throw std::runtime_error(text);
}

/// Does `f` throw an `Error`? Whatever else it throws leaves this function.
template <class Error> bool throws(auto const& f) {
    try {
        f();
    } catch (Error const&) {
        return true;
    }
    return false;
}

/// Runs the synchronous `f` on `count` portals at once, on this thread, until the last has ended. What one throws
/// leaves this function.
inline void run_at_once(asio::io_context& loop, int count, std::function<void()> const& f) {
    int running = count;
    for (int i = 0; i < count; ++i)
        greenback::spawn(loop, f, [&](std::exception_ptr error) {
            greenback::rethrow(std::move(error));
            if (--running == 0)
                loop.stop();
        });
    loop.restart();
    loop.run();
}

/// The same for one coroutine.
inline void run_task(asio::io_context& loop, asio::awaitable<void> task) {
    asio::co_spawn(loop, std::move(task), [&](std::exception_ptr error) {
        greenback::rethrow(std::move(error));
        loop.stop();
    });
    loop.restart();
    loop.run();
}

struct counter {
    int now = 0, most = 0;
};

/// Counts those that are inside of something.
class inside {
public:
    explicit inside(counter& count) : count_(count) { count_.most = std::max(count_.most, ++count_.now); }
    ~inside() { --count_.now; }
    inside(inside const&) = delete;
    inside& operator=(inside const&) = delete;

private:
    counter& count_;
};
