// SPDX-License-Identifier: MIT

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/event_loop.hpp"
#include "support/tasks.hpp"

#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using greenback::decorate_as_sync;
using test::run_task;
using test::value_of;
using test::yield_now;

namespace {

int fetched = 0; ///< calls of `fetch`

asio::awaitable<int> fetch(std::string name) {
    ++fetched;
    co_await yield_now();
    if (name.empty())
        throw std::invalid_argument("no name");
    co_return static_cast<int>(name.size());
}

/// Somebody's decorator for synchronous functions: keeps results.
auto const with_cache = [](auto f) {
    return [f = std::move(f), cache = std::map<std::string, int>()](std::string const& name) mutable {
        if (auto const found = cache.find(name); found != cache.end())
            return found->second;
        int const result = f(name);
        return cache[name] = result;
    };
};

/// Another one: tries again.
auto const with_retry = [](auto f) {
    return [f = std::move(f)](auto&&... args) mutable {
        for (int left = 2; left > 0; --left) {
            try {
                return f(args...);
            } catch (std::exception const&) {
            }
        }
        return f(args...);
    };
};

} // namespace

TEST_CASE("a decorator of synchronous functions decorates an asynchronous one", "[decorate_as_sync]") {
    fetched = 0;
    auto const fetch_cached = decorate_as_sync(with_cache)(fetch);
    static_assert(std::is_same_v<decltype(fetch_cached("a")), asio::awaitable<int>>);
    run_task([](auto f) -> asio::awaitable<void> {
        CHECK(co_await f("four") == 4);
        CHECK(co_await f(std::string("four")) == 4);
        CHECK(co_await f("three") == 5);
    }(fetch_cached));
    CHECK(fetched == 2);
    // Copies, and the function itself, have one cache.
    auto const copy = fetch_cached;
    CHECK(run_task(copy("four")) == 4);
    CHECK(fetched == 2);
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("what a decorator has made lives as long as an awaitable of it", "[decorate_as_sync]") {
    asio::awaitable<int> later = decorate_as_sync(with_cache)(fetch)(std::string("temporary"));
    CHECK(run_task(std::move(later)) == 9);
}

TEST_CASE("calls interleave where the decorated function awaits", "[decorate_as_sync]") {
    fetched = 0;
    auto const fetch_cached = decorate_as_sync(with_cache)(fetch);
    asio::io_context context(1);
    int sum = 0;
    for (int i = 0; i != 3; ++i)
        asio::co_spawn(context, fetch_cached("same"), [&](std::exception_ptr e, int n) {
            CHECK(!e);
            sum += n;
        });
    test::run_all(context);
    CHECK(sum == 12);
    CHECK(fetched == 3); // all have asked before the first had its answer
}

TEST_CASE("exceptions pass through a decorator as what they are", "[decorate_as_sync]") {
    fetched = 0;
    auto const patient = decorate_as_sync(with_retry)(fetch);
    CHECK_THROWS_AS(run_task(patient(std::string())), std::invalid_argument);
    CHECK(fetched == 3);
}

TEST_CASE("decorate_as_sync takes move-only decorators, functions and arguments", "[decorate_as_sync]") {
    auto decorator = [own = std::make_unique<int>(1)](auto f) {
        return [f = std::move(f), more = *own](std::unique_ptr<int> n) mutable { return f(std::move(n)) + more; };
    };
    auto f = [own = std::make_unique<int>(10)](std::unique_ptr<int> n) { return value_of(*own + *n, true); };
    auto const decorated = decorate_as_sync(std::move(decorator))(std::move(f));
    CHECK(run_task(decorated(std::make_unique<int>(100))) == 111);

    auto const returns_move_only = decorate_as_sync([](auto g) { return g; })([] { //
        return value_of(std::make_unique<int>(3), true);
    });
    CHECK(*run_task(returns_move_only()) == 3);
    auto const returns_nothing = decorate_as_sync([](auto g) { return [g] { g(); }; })([] { return yield_now(); });
    static_assert(std::is_same_v<decltype(returns_nothing()), asio::awaitable<void>>);
    run_task(returns_nothing());
}

TEST_CASE("one decorator decorates several functions, in tasks of another executor type too", "[decorate_as_sync]") {
    using executor = asio::io_context::executor_type;
    auto const twice = decorate_as_sync<executor>([](auto f) { return [f](int n) { return f(f(n)); }; });
    auto const plus_one = twice([](int n) -> asio::awaitable<int, executor> {
        co_await yield_now<executor>();
        co_return n + 1;
    });
    auto const doubled = twice([](int n) -> asio::awaitable<int, executor> {
        co_await yield_now<executor>();
        co_return n * 2;
    });
    asio::io_context context(1);
    CHECK(run_task(context, context.get_executor(), plus_one(5)) == 7);
    CHECK(run_task(context, context.get_executor(), doubled(5)) == 20);
}

TEST_CASE("a decorated function is cancelled, or destroyed, where it waits", "[decorate_as_sync]") {
    int entered = 0, left = 0;
    auto const counting = decorate_as_sync([&](auto f) {
        return [&, f] {
            struct scope {
                int& left;
                ~scope() { ++left; }
            } const at_end{left};
            ++entered;
            f();
        };
    })(test::forever);
    test::error_code error;
    {
        asio::io_context context(1);
        asio::cancellation_signal stop;
        asio::co_spawn(context, counting(), asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr e) {
                           try {
                               std::rethrow_exception(e);
                           } catch (test::system_error const& thrown) {
                               error = thrown.code();
                           }
                       }));
        asio::co_spawn(context, counting(), asio::detached);
        test::poll_all(context);
        CHECK(entered == 2);
        stop.emit(asio::cancellation_type::terminal);
        test::poll_all(context);
        CHECK(left == 1);
    }
    CHECK(left == 2);
    CHECK(error == asio::error::operation_aborted);
    CHECK(greenback::stats().live == 0);
}
