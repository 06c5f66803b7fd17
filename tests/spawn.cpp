// SPDX-License-Identifier: MIT

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/event_loop.hpp"
#include "support/tasks.hpp"

#include <future>
#include <memory>
#include <string>
#include <thread>
#include <typeinfo>
#include <vector>

using greenback::await_;
using greenback::has_portal;
using greenback::no_portal;
using test::deferred;
using test::run_all;
using test::value_of;
using test::yield_now;

namespace {

/// Awaits an `asio::awaitable`, an operation by `use_portal` and the task's executor.
int waits() {
    await_(yield_now());
    asio::post(await_(asio::this_coro::executor), greenback::use_portal);
    CHECK(has_portal());
    return await_(value_of(7, true));
}

struct no_default {
    int value;
    explicit no_default(int v) : value(v) {}
    no_default(no_default&&) = default;
    no_default& operator=(no_default&&) = default;
};

/// Runs `start`, which spawns a task, and the loop. @returns what was thrown: a message, or nothing
template <class Start> std::string thrown_by_run(Start start) {
    asio::io_context context(1);
    start(context);
    try {
        run_all(context);
    } catch (std::exception const& e) {
        return e.what();
    }
    return "";
}

} // namespace

TEST_CASE("spawn runs a function that awaits, and calls the handler with its result", "[spawn]") {
    asio::io_context context(1);
    int result = 0, calls = 0;
    greenback::spawn(context, waits, [&](std::exception_ptr e, int n) {
        CHECK(e == nullptr);
        result = n;
        ++calls;
    });
    greenback::spawn(
        context, [&] { result += waits(); },
        [&](std::exception_ptr e) {
            CHECK(e == nullptr);
            ++calls;
        });
    CHECK(calls == 0);
    run_all(context);
    CHECK(result == 14);
    CHECK(calls == 2);
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("spawn takes every completion token", "[spawn]") {
    asio::io_context context(1);
    int done = 0;
    SECTION("rethrow and detached") {
        greenback::spawn(context, [&] { done += waits(); }, greenback::rethrow);
        greenback::spawn(
            context,
            [&] {
                done += waits();
                return done;
            },
            greenback::rethrow); // the result is ignored
        greenback::spawn(context, [&] { done += waits(); }, asio::detached);
        greenback::spawn(context, [&] { return done += waits(); }, asio::detached);
        run_all(context);
        CHECK(done == 28);
    }
    SECTION("use_future") {
        std::future<int> number = greenback::spawn(context, waits, asio::use_future);
        std::future<void> nothing = greenback::spawn(context, [] { waits(); }, asio::use_future);
        std::future<int> failed =
            greenback::spawn(context, []() -> int { throw std::out_of_range("f"); }, asio::use_future);
        run_all(context);
        CHECK(number.get() == 7);
        nothing.get();
        CHECK_THROWS_AS(failed.get(), std::out_of_range);
    }
    SECTION("use_awaitable and deferred, in a coroutine") {
        auto task = [&]() -> asio::awaitable<void> {
            done += co_await greenback::spawn(context, waits, asio::use_awaitable);
            done += co_await greenback::spawn(context, waits, deferred)(asio::use_awaitable);
            CHECK_FALSE(has_portal());
            co_await greenback::spawn(context, [] { waits(); }, asio::use_awaitable);
            bool caught = false;
            try {
                co_await greenback::spawn(context, [] { throw std::out_of_range("f"); }, asio::use_awaitable);
            } catch (std::out_of_range const&) {
                caught = true;
            }
            CHECK(caught);
        };
        asio::co_spawn(context, task(), greenback::rethrow);
        run_all(context);
        CHECK(done == 14);
    }
    SECTION("use_portal, in a portal") {
        greenback::spawn(
            context,
            [&] {
                done += greenback::spawn(context, waits, greenback::use_portal);
                greenback::spawn(context, [] { waits(); }, greenback::use_portal);
                done += await_(greenback::spawn(context, waits, deferred));
                CHECK_THROWS_AS(greenback::spawn(
                                    context, [] { throw std::out_of_range("f"); }, greenback::use_portal),
                                std::out_of_range);
                CHECK(has_portal());
            },
            greenback::rethrow);
        run_all(context);
        CHECK(done == 14);
    }
    SECTION("a token's cancellation slot") {
        asio::cancellation_signal signal;
        bool cancelled = false;
        greenback::spawn(
            context,
            [&] {
                try {
                    await_(test::forever());
                } catch (test::system_error const& e) {
                    cancelled = e.code() == asio::error::operation_aborted;
                }
            },
            asio::bind_cancellation_slot(signal.slot(), greenback::rethrow));
        test::poll_all(context);
        signal.emit(asio::cancellation_type::terminal);
        run_all(context);
        CHECK(cancelled);
    }
}

TEST_CASE("a spawned task may await a plain awaitable on every type of executor", "[spawn]") {
    SECTION("an io_context, its executor, a strand, any_io_executor") {
        asio::io_context context(1);
        auto const executor = context.get_executor();
        auto strand = asio::make_strand(context);
        asio::any_io_executor const any = executor;
        int sum = 0;
        bool in_strand = false, const_in_strand = false;
        greenback::spawn(context, [&] { sum += waits(); }, greenback::rethrow);
        greenback::spawn(executor, [&] { sum += waits(); }, greenback::rethrow);
        greenback::spawn(context.get_executor(), [&] { sum += waits(); }, greenback::rethrow);
        greenback::spawn(
            strand,
            [&] {
                sum += waits();
                in_strand = strand.running_in_this_thread();
            },
            greenback::rethrow);
        greenback::spawn(
            std::as_const(strand),
            [&] {
                sum += waits();
                const_in_strand = strand.running_in_this_thread();
            },
            greenback::rethrow);
        greenback::spawn(any, [&] { sum += waits(); }, greenback::rethrow);
        run_all(context);
        CHECK(sum == 42);
        CHECK(in_strand);
        CHECK(const_in_strand);
    }
    SECTION("a thread_pool and its executor") {
        asio::thread_pool pool(2);
        auto one = greenback::spawn(pool, waits, asio::use_future);
        auto two = greenback::spawn(pool.get_executor(), waits, asio::use_future);
        auto thread = greenback::spawn(pool, [] { return std::this_thread::get_id(); }, asio::use_future);
        CHECK(one.get() + two.get() == 14);
        CHECK(thread.get() != std::this_thread::get_id());
        pool.join();
    }
    SECTION("an executor with a default token") {
        asio::io_context context(1);
        greenback::use_portal_t::executor_with_default<asio::any_io_executor> const executor(context.get_executor());
        int sum = 0;
        greenback::spawn(executor, [&] { sum += waits(); }, greenback::rethrow);
        run_all(context);
        CHECK(sum == 7);
    }
}

TEST_CASE("the task's executor is the one that spawn was given", "[spawn]") {
    asio::io_context context(1);
    auto strand = asio::make_strand(context);
    greenback::spawn(
        strand,
        [&] {
            asio::any_io_executor const executor = await_(asio::this_coro::executor);
            CHECK(executor == asio::any_io_executor(strand));
        },
        greenback::rethrow);
    run_all(context);
}

TEST_CASE("spawn takes functions and results that can only be moved", "[spawn]") {
    asio::io_context context(1);
    std::unique_ptr<int> result;
    greenback::spawn(
        context,
        [p = std::make_unique<int>(5)]() mutable {
            waits();
            return std::move(p);
        },
        [&](std::exception_ptr, std::unique_ptr<int> p) { result = std::move(p); });
    run_all(context);
    REQUIRE(result);
    CHECK(*result == 5);
}

TEST_CASE("a result without a default constructor arrives as std::optional", "[spawn]") {
    asio::io_context context(1);
    int value = 0;
    bool empty = false;
    std::future<std::optional<no_default>> future;
    greenback::spawn(
        context, [] { return no_default(waits()); },
        [&](std::exception_ptr e, std::optional<no_default> r) {
            CHECK(e == nullptr);
            value = r.value().value;
        });
    greenback::spawn(
        context, []() -> no_default { throw std::out_of_range("f"); },
        [&](std::exception_ptr e, std::optional<no_default> r) { empty = e && !r; });
    future = greenback::spawn(context, [p = std::make_unique<int>(3)] { return no_default(*p); }, asio::use_future);
    greenback::spawn(context, [] { return no_default(waits()); }, greenback::rethrow);
    run_all(context);
    CHECK(value == 7);
    CHECK(empty);
    CHECK(future.get()->value == 3);
}

TEST_CASE("a reference that a spawned function returns is copied", "[spawn]") {
    asio::io_context context(1);
    std::string const text = "text";
    std::string copy;
    greenback::spawn(
        context, [&]() -> std::string const& { return text; },
        [&](std::exception_ptr, std::string s) { copy = std::move(s); });
    run_all(context);
    CHECK(copy == "text");
}

TEST_CASE("with rethrow an exception leaves run() as it is, and the loop can be run again", "[spawn]") {
    asio::io_context context(1);
    bool other = false;
    auto const wait = GENERATE(false, true);
    CAPTURE(wait);
    auto fail = [wait] {
        if (wait)
            waits();
        throw std::out_of_range("f");
    };
    auto fail_with_result = [fail]() -> int {
        fail();
        return 1;
    };
    auto coroutine = [](bool suspend) -> asio::awaitable<int> {
        co_await test::yield_if(suspend);
        throw std::out_of_range("f");
    };
    greenback::spawn(context, fail, greenback::rethrow);
    greenback::spawn(context, fail_with_result, greenback::rethrow);
    asio::co_spawn(context, coroutine(wait), greenback::rethrow);
    greenback::spawn(context, [&] { other = waits() == 7; }, greenback::rethrow);
    for (int i = 0; i != 3; ++i)
        CHECK_THROWS_AS(run_all(context), std::out_of_range);
    run_all(context);
    CHECK(other);
}

TEST_CASE("rethrow ignores results of any number and type", "[spawn]") {
    greenback::rethrow(nullptr);
    greenback::rethrow(nullptr, 1, std::make_unique<int>(2));
    int lvalue = 0;
    greenback::rethrow(nullptr, lvalue, std::as_const(lvalue));
    CHECK_THROWS_AS(greenback::rethrow(std::make_exception_ptr(std::out_of_range("f")), 1), std::out_of_range);
    STATIC_REQUIRE(std::is_empty_v<greenback::rethrow_t>);
    STATIC_REQUIRE(std::is_same_v<decltype(greenback::rethrow), greenback::rethrow_t const>);
}

TEST_CASE("under rethrow a forgotten portal reaches the caller of run()", "[spawn]") {
    auto const suspend = GENERATE(false, true);
    CAPTURE(suspend);
    auto coroutine = [suspend]() -> asio::awaitable<void> {
        co_await test::yield_if(suspend);
        waits(); // not through a portal
    };
    std::string const text =
        thrown_by_run([&](asio::io_context& context) { asio::co_spawn(context, coroutine(), greenback::rethrow); });
    CHECK(text.find("spawn.cpp:") != std::string::npos);
    CHECK(text.find("without a portal in this task") != std::string::npos);

    asio::io_context context(1);
    asio::co_spawn(context, coroutine(), greenback::rethrow);
    CHECK_THROWS_AS(run_all(context), no_portal);
}

TEST_CASE("a spawned task that is destroyed while it waits is unwound", "[spawn]") {
    bool destroyed = false;
    {
        asio::io_context context(1);
        greenback::spawn(
            context,
            [&] {
                std::shared_ptr<void> const guard(nullptr, [&](void*) { destroyed = true; });
                await_(test::forever());
            },
            greenback::rethrow);
        test::poll_all(context);
        CHECK_FALSE(destroyed);
    }
    CHECK(destroyed);
    CHECK(greenback::stats().live == 0);
}
