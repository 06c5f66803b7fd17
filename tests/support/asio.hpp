// SPDX-License-Identifier: MIT
//
// What the tests share: whichever Asio the library was built for under the name `asio`, and tasks to run on it.
#pragma once

#include <greenback/greenback.hpp>

#if defined(GREENBACK_USE_BOOST_ASIO)
#include <boost/asio.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
namespace asio = boost::asio;
#else
#include <asio.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#endif

#if GREENBACK_ASIO_VERSION < 102400
#if defined(GREENBACK_USE_BOOST_ASIO)
#include <boost/asio/experimental/deferred.hpp>
#else
#include <asio/experimental/deferred.hpp>
#endif
#endif

#include <chrono>
#include <exception>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <type_traits>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#define TEST_UNDER_ASAN 1
#elif defined(__SANITIZE_THREAD__)
#define TEST_UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TEST_UNDER_ASAN 1
#elif __has_feature(thread_sanitizer)
#define TEST_UNDER_TSAN 1
#endif
#endif

namespace test {

using greenback::error_code;
using greenback::system_error;

#if defined(TEST_UNDER_ASAN) || defined(TEST_UNDER_TSAN)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif

#if GREENBACK_ASIO_VERSION < 102400
inline constexpr auto& deferred = asio::experimental::deferred;
#else
inline constexpr auto& deferred = asio::deferred;
#endif

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

// ---- things to await -------------------------------------------------------------------------------------------------

/// Gives others a turn: suspends, and goes on from the event loop.
template <class Executor = asio::any_io_executor> asio::awaitable<void, Executor> yield_now() {
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable_t<Executor>());
}

/// Suspends if it is asked to.
inline asio::awaitable<void> yield_if(bool suspend) {
    if (suspend)
        co_await yield_now();
}

template <class Executor = asio::any_io_executor> asio::awaitable<void, Executor> sleep_ms(int milliseconds = 1) {
    asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, Executor> timer(
        co_await asio::this_coro::executor, std::chrono::milliseconds(milliseconds));
    co_await timer.async_wait(asio::use_awaitable_t<Executor>());
}

/// Suspends until it is cancelled or destroyed.
inline asio::awaitable<void> forever() {
    asio::steady_timer timer(co_await asio::this_coro::executor, asio::steady_timer::time_point::max());
    co_await timer.async_wait(asio::use_awaitable);
}

template <class T> asio::awaitable<std::decay_t<T>> value_of(T value, bool suspend) {
    if (suspend)
        co_await yield_now();
    co_return std::move(value);
}

template <class E> asio::awaitable<void> throwing(E e, bool suspend) {
    if (suspend)
        co_await yield_now();
    throw std::move(e);
}

/// Tasks wait for it, somebody opens it.
class gate {
public:
    explicit gate(asio::io_context& context) : timer_(context, asio::steady_timer::time_point::max()) {}
    asio::awaitable<void> wait() {
        error_code ec;
        if (!open_)
            co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ec));
    }
    bool is_open() const { return open_; }
    void open() {
        open_ = true;
        timer_.cancel();
    }

private:
    asio::steady_timer timer_;
    bool open_ = false;
};

// ---- tasks -----------------------------------------------------------------------------------------------------------

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

// ---- every kind of portal --------------------------------------------------------------------------------------------

enum class made_by { with_portal_run_sync, portal_object, with_portal_run, bestow_portal, ensure_portal };

inline constexpr made_by every_kind[] = {made_by::with_portal_run_sync, made_by::portal_object,
                                         made_by::with_portal_run, made_by::bestow_portal, made_by::ensure_portal};
/// GENERATE takes a list of values.
#define TEST_EVERY_KIND \
    test::made_by::with_portal_run_sync, test::made_by::portal_object, test::made_by::with_portal_run, \
        test::made_by::bestow_portal, test::made_by::ensure_portal

inline std::ostream& operator<<(std::ostream& out, made_by how) {
    constexpr char const* names[] = {"with_portal_run_sync", "portal::run", "with_portal_run", "bestow_portal",
                                     "ensure_portal"};
    return out << names[static_cast<int>(how)];
}

template <class F> asio::awaitable<void> coroutine_that_calls(F f) {
    f();
    co_return;
}

/// Calls the synchronous function `f` in the calling task through a portal of the given kind.
template <class F> asio::awaitable<void> in_portal(made_by how, F f) {
    if (how == made_by::with_portal_run_sync) {
        co_await greenback::with_portal_run_sync(std::move(f));
    } else if (how == made_by::portal_object) {
        greenback::portal p;
        co_await p.run(std::move(f));
    } else if (how == made_by::with_portal_run) {
        co_await greenback::with_portal_run(coroutine_that_calls<F>, std::move(f));
    } else if (how == made_by::bestow_portal) {
        co_await greenback::bestow_portal(coroutine_that_calls(std::move(f)));
    } else {
        co_await greenback::ensure_portal();
        f();
    }
}

} // namespace test
