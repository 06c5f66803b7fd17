// SPDX-License-Identifier: MIT

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/event_loop.hpp"
#include "support/every_kind.hpp"
#include "support/tasks.hpp"

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

using greenback::await_;
using greenback::has_portal;
using namespace asio::experimental::awaitable_operators;
using namespace test;

namespace {

struct no_default {
    explicit no_default(int v) : value(v) {}
    int value;
};
struct move_only_no_default {
    explicit move_only_no_default(int v) : value(std::make_unique<int>(v)) {}
    std::unique_ptr<int> value;
};

/// An operation that completes with the given values, later.
template <class Signature, class... Values> auto operation(asio::io_context& context, Values... values) {
    return [&context, ... values = std::move(values)](auto&& token) mutable {
        return asio::async_initiate<decltype(token), Signature>(
            [&context](auto handler, auto... vs) {
                asio::post(context, [handler = std::move(handler), ... vs = std::move(vs)]() mutable {
                    std::move(handler)(std::move(vs)...);
                });
            },
            token, std::move(values)...);
    };
}

/// The innermost of n nested calls awaits.
int deep(int n, bool suspend) { return n == 0 ? await_(value_of(1, suspend)) : 1 + deep(n - 1, suspend); }

asio::awaitable<int> deep_coroutine(int n, bool suspend) {
    if (n == 0)
        co_return co_await value_of(1, suspend);
    co_return 1 + co_await deep_coroutine(n - 1, suspend);
}

/// Coroutines and synchronous code by turns; a coroutine calls the code before it has suspended and after.
enum class suspends { never, before, after, both };

int alternating_sync(int n, suspends when);

asio::awaitable<int> alternating_async(int n, suspends when) {
    if (when == suspends::before || when == suspends::both)
        co_await yield_now();
    CHECK(has_portal());
    int result = 1 + alternating_sync(n - 1, when);
    if (when == suspends::after || when == suspends::both)
        co_await yield_now();
    CHECK(has_portal());
    result += alternating_sync(0, when);
    co_return result;
}

int alternating_sync(int n, suspends when) {
    if (n == 0)
        return await_(value_of(1, when == suspends::both));
    return await_(alternating_async(n, when));
}

} // namespace

TEST_CASE("await_ returns what the coroutine returns", "[await]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    bool const suspend = GENERATE(false, true);
    CAPTURE(suspend);
    run_task(in_portal(how, [suspend] {
        static_assert(std::is_void_v<decltype(await_(yield_now()))>);
        static_assert(std::is_same_v<decltype(await_(value_of(1, true))), int>);
        await_(yield_if(suspend));
        CHECK(await_(value_of(5, suspend)) == 5);
        CHECK(await_(value_of(std::string("a string that is long enough to be allocated"), suspend)).size() == 44);
        CHECK(*await_(value_of(std::make_unique<int>(6), suspend)) == 6);
        CHECK(await_(value_of(no_default(7), suspend)).value == 7);
        CHECK(*await_(value_of(move_only_no_default(8), suspend)).value == 8);
        asio::awaitable<int> named = value_of(9, suspend);
        CHECK(await_(std::move(named)) == 9);
        auto by_reference = [](int& x, bool wait) -> asio::awaitable<std::reference_wrapper<int>> {
            co_await yield_if(wait);
            co_return std::ref(x);
        };
        int x = 0;
        CHECK(&await_(by_reference(x, suspend)).get() == &x);
    }));
}

TEST_CASE("await_ starts a deferred operation and returns its values", "[await]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context(1);
    run_task(
        context, context, in_portal(how, [&] {
            asio::steady_timer timer(context, std::chrono::milliseconds(1));
            static_assert(std::is_void_v<decltype(await_(timer.async_wait(deferred)))>);
            await_(timer.async_wait(deferred));
            await_(asio::post(context, deferred));
            await_(operation<void()>(context)(deferred));
            CHECK(await_(operation<void(int)>(context, 1)(deferred)) == 1);
            CHECK(await_(operation<void(error_code, int)>(context, error_code(), 2)(deferred)) == 2);
            CHECK(await_(operation<void(std::exception_ptr, int)>(context, std::exception_ptr(), 3)(deferred)) == 3);
            CHECK(await_(operation<void(int, std::string)>(context, 4, std::string("s"))(deferred)) ==
                  std::tuple(4, std::string("s")));
            CHECK(await_(operation<void(error_code, int, char)>(context, error_code(), 5, 'c')(deferred)) ==
                  std::tuple(5, 'c'));
            CHECK(*await_(operation<void(std::unique_ptr<int>)>(context, std::make_unique<int>(6))(deferred)) == 6);
            CHECK(await_(operation<void(no_default)>(context, no_default(7))(deferred)).value == 7);
        }));
}

TEST_CASE("an operation's error is thrown by await_", "[await]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context(1);
    error_code const refused = asio::error::connection_refused;
    run_task(context, context, in_portal(how, [&] {
                 try {
                     await_(operation<void(error_code)>(context, refused)(deferred));
                     FAIL_CHECK("no exception");
                 } catch (system_error const& e) {
                     CHECK(e.code() == refused);
                 }
                 try {
                     await_(operation<void(error_code, int)>(context, refused, 1)(deferred));
                     FAIL_CHECK("no exception");
                 } catch (system_error const& e) {
                     CHECK(e.code() == refused);
                 }
                 auto e = std::make_exception_ptr(std::string("x"));
                 CHECK_THROWS_AS(await_(operation<void(std::exception_ptr)>(context, e)(deferred)), std::string);
                 CHECK_THROWS_AS(await_(operation<void(std::exception_ptr, int)>(context, e, 1)(deferred)),
                                 std::string);
             }));
}

TEST_CASE("await_ answers what co_await answers about the task", "[await]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context(1);
    auto task = [&]() -> asio::awaitable<void> {
        asio::any_io_executor const executor = co_await asio::this_coro::executor;
        bool const throws = co_await asio::this_coro::throw_if_cancelled();
        co_await in_portal(how, [&] {
            static_assert(std::is_same_v<decltype(await_(asio::this_coro::executor)), asio::any_io_executor>);
            CHECK(await_(asio::this_coro::executor) == executor);
            CHECK(await_(asio::this_coro::cancellation_state).cancelled() == asio::cancellation_type::none);
            CHECK(await_(asio::this_coro::throw_if_cancelled()) == throws);
            await_(asio::this_coro::throw_if_cancelled(false));
            CHECK_FALSE(await_(asio::this_coro::throw_if_cancelled()));
            await_(asio::this_coro::reset_cancellation_state());
            await_(asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation()));
            await_(asio::this_coro::reset_cancellation_state(asio::enable_partial_cancellation(),
                                                             asio::disable_cancellation()));
        });
        CHECK_FALSE(co_await asio::this_coro::throw_if_cancelled()); // the same task: what was set stays
        co_await asio::this_coro::throw_if_cancelled(true);
        co_await in_portal(how, [] { CHECK(await_(asio::this_coro::throw_if_cancelled())); });
    };
    run_task(context, context, task());
}

TEST_CASE("the filters given to reset_cancellation_state by await_ decide what cancels the task", "[await]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    int const filters = GENERATE(0, 1, 2);
    CAPTURE(filters);
    asio::io_context context(1);
    asio::cancellation_signal signal;
    asio::cancellation_type total = asio::cancellation_type::none;
    bool ended = false, interrupted = false;
    gate open(context);
    auto function = [&] {
        // By default a task that is spawned reacts to terminal cancellation alone.
        if (filters == 0)
            await_(asio::this_coro::reset_cancellation_state());
        else if (filters == 1)
            await_(asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation()));
        else
            await_(asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation(),
                                                             asio::disable_cancellation()));
        await_(asio::this_coro::throw_if_cancelled(false));
        asio::post(context, [&] {
            signal.emit(asio::cancellation_type::total);
            asio::post(context, [&] { open.open(); });
        });
        await_(open.wait());
        interrupted = !open.is_open();
        total = await_(asio::this_coro::cancellation_state).cancelled();
        ended = true;
    };
    asio::co_spawn(context, in_portal(how, function),
                   asio::bind_cancellation_slot(signal.slot(), [](std::exception_ptr e) { CHECK(e == nullptr); }));
    run_all(context);
    CHECK(ended);
    // The first filter decides what the task hears of, the second what it passes on to the operation it waits for.
    CHECK(total == (filters == 0 ? asio::cancellation_type::none : asio::cancellation_type::total));
    CHECK(interrupted == (filters == 1));
}

TEST_CASE("await_ works at the bottom of a deep recursion", "[await]") {
    bool const suspend = GENERATE(false, true);
    CHECK(run_task(greenback::with_portal_run_sync(deep, 100, suspend)) == 101);
    CHECK(run_task(greenback::with_portal_run_sync([=] { return await_(deep_coroutine(100, suspend)); })) == 101);
}

TEST_CASE("coroutines and synchronous code alternate to any depth", "[await]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    auto const when = GENERATE(suspends::never, suspends::before, suspends::after, suspends::both);
    int const levels = GENERATE(1, 2, 50);
    CAPTURE(static_cast<int>(when), levels);
    int result = 0;
    run_task(in_portal(how, [&] { result = alternating_sync(levels, when); }));
    CHECK(result == 2 * levels + 1);
}

TEST_CASE("await_ in a loop leaves nothing behind", "[await]") {
    bool const suspend = GENERATE(false, true);
    constexpr int count = 20000; // a frame or a stack left behind each time would not go unnoticed
    int sum = 0;
    run_task(greenback::with_portal_run_sync([&] {
        for (int i = 0; i != count; ++i)
            sum += await_(value_of(1, suspend));
    }));
    CHECK(sum == count);
}

TEST_CASE("await_ of && and || runs both operands at once", "[await]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    std::string order;
    auto step = [&order](char name, int turns) -> asio::awaitable<int> {
        for (int i = 0; i != turns; ++i) {
            order += name;
            co_await yield_now();
        }
        co_return turns;
    };
    run_task(in_portal(how, [&] {
        CHECK(await_(step('a', 2) && step('b', 3)) == std::tuple(2, 3));
        CHECK(order.find("aa") == std::string::npos);
        CHECK(std::get<1>(await_(forever() || step('c', 2))) == 2);
        CHECK(std::get<0>(await_(step('d', 1) || forever())) == 1);
        try {
            await_(throwing(std::string("x"), true) && forever());
            FAIL_CHECK("no exception");
        } catch (asio::multiple_exceptions const& e) { // the other operand's is its cancellation
            CHECK_THROWS_AS(std::rethrow_exception(e.first_exception()), std::string);
        }
        CHECK(has_portal());
        await_(yield_now());
    }));
}

TEMPLATE_TEST_CASE("await_ and portals work in tasks on any executor type", "[await]", asio::io_context::executor_type,
                   asio::strand<asio::io_context::executor_type>, asio::any_io_executor) {
    using executor_type = TestType;
    asio::io_context context(1);
    executor_type const executor = [&] {
        if constexpr (std::is_constructible_v<executor_type, asio::strand<asio::io_context::executor_type>>)
            return executor_type(asio::make_strand(context.get_executor()));
        else
            return context.get_executor();
    }();
    int steps = 0;
    auto function = [&] {
        CHECK(await_(asio::this_coro::executor) == asio::any_io_executor(executor));
        await_(yield_now<executor_type>());
        await_(sleep_ms<executor_type>());
        asio::steady_timer timer(context, std::chrono::milliseconds(1));
        timer.async_wait(greenback::use_portal);
        await_(timer.async_wait(deferred));
        auto thrower = []() -> asio::awaitable<int, executor_type> {
            co_await yield_now<executor_type>();
            throw std::string("x");
        };
        CHECK_THROWS_AS(await_(thrower()), std::string);
        CHECK(has_portal());
        ++steps;
    };
    auto task = [&]() -> asio::awaitable<int, executor_type> {
        co_await greenback::with_portal_run_sync<executor_type>(function);
        greenback::basic_portal<executor_type> p;
        co_await p.run(function);
        auto coroutine = [&]() -> asio::awaitable<void, executor_type> {
            function();
            co_await yield_now<executor_type>();
            function();
        };
        co_await greenback::with_portal_run(coroutine);
        co_await greenback::bestow_portal(coroutine());
        CHECK_FALSE(has_portal());
        co_await greenback::ensure_portal<executor_type>();
        function();
        co_await yield_now<executor_type>();
        function();
        co_return steps;
    };
    CHECK(run_task(context, executor, task()) == 8);
    SECTION("also when destroyed") {
        bool abandoned = false;
        {
            asio::io_context other(1);
            auto hang = [&] {
                try {
                    asio::steady_timer(other, std::chrono::hours(1)).async_wait(greenback::use_portal);
                } catch (greenback::abandoned const&) {
                    abandoned = true;
                    throw;
                }
            };
            asio::co_spawn(other, greenback::with_portal_run_sync(hang), asio::detached);
            poll_all(other);
        }
        CHECK(abandoned);
    }
}

TEST_CASE("an awaitable of another executor type is refused and destroyed unrun", "[await]") {
    using other = asio::io_context::executor_type;
    asio::io_context context(1);
    bool ran = false;
    auto kept = std::make_shared<int>();
    auto wrong = [&ran]<class Executor>(std::shared_ptr<int>, Executor) -> asio::awaitable<int, Executor> {
        ran = true;
        co_return 1;
    };
    std::string text;
    auto attempt = [&](auto executor) {
        try {
            await_(wrong(kept, executor));
        } catch (greenback::executor_mismatch const& e) {
            text = e.what();
        }
        CHECK(kept.use_count() == 1);
        CHECK(has_portal()); // and nothing is lost
    };
    SECTION("in a task on any_io_executor") {
        run_task(context, context, greenback::with_portal_run_sync([&] {
                     attempt(context.get_executor());
                     await_(yield_now());
                 }));
    }
    SECTION("in a task on another one") {
        run_task(context, context.get_executor(), greenback::with_portal_run_sync<other>([&] {
                     attempt(asio::any_io_executor(context.get_executor()));
                     await_(yield_now<other>());
                 }));
    }
    CHECK_FALSE(ran);
    CHECK(text.find("await.cpp:") != std::string::npos);
    CHECK(text.find("any_io_executor") != std::string::npos);
    CHECK(text.find("basic_executor_type") != std::string::npos);
}

TEST_CASE("an operation may be completed by another portal's code before its initiation has returned", "[await]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    auto const in_coroutine = GENERATE(false, true);
    CAPTURE(in_coroutine);
    asio::io_context context, other;
    std::string order;
    auto const completed_by_another = [&](auto token) {
        return asio::async_initiate<decltype(token), void()>(
            [&](auto handler) {
                // The initiation itself may be gone once the handler was called, as with use_awaitable: copies.
                auto shared = std::make_shared<decltype(handler)>(std::move(handler));
                asio::io_context& loop = other;
                std::string& record = order;
                test::spawn(other, greenback::with_portal_run_sync([&order, shared] {
                                await_(test::yield_now());
                                order += 'c';
                                std::move (*shared)();
                                order += 'r';
                                await_(test::yield_now());
                            }));
                test::poll_all(loop); // on this very stack
                record += 'i';
            },
            token);
    };
    auto const synchronous = [&] {
        for (int n = 0; n != 3; ++n) {
            order += '(';
            await_(completed_by_another(asio::use_awaitable));
            order += ')';
            completed_by_another(greenback::use_portal);
            order += '.';
        }
    };
    test::spawn(context, test::in_portal(how, [&] {
                    if (in_coroutine)
                        await_(test::coroutine_that_calls(synchronous));
                    else
                        synchronous();
                    order += '!';
                }));
    test::run_all(context);
    test::run_all(other);
    CAPTURE(order);
    CHECK(std::count(order.begin(), order.end(), '!') == 1);
    CHECK(std::count(order.begin(), order.end(), '.') == 3);
    CHECK(std::count(order.begin(), order.end(), 'i') == 6);
    CHECK(greenback::stats().live == 0);
}
