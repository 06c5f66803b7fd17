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
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using greenback::autoawait;
using greenback::await_;
using test::in_portal;
using test::run_task;
using test::value_of;
using test::yield_now;

namespace {

asio::awaitable<std::size_t> size_later(std::string const& text) {
    co_await yield_now();
    co_return text.size();
}

/// Takes references, which must live until it is over.
asio::awaitable<int> double_later(int& number, std::unique_ptr<int>&& step, std::string const& text) {
    co_await yield_now();
    number *= 2;
    co_return number + *step + static_cast<int>(text.size());
}

struct account {
    int balance = 5;
    asio::awaitable<int> balance_later(int plus) const {
        co_await yield_now();
        co_return balance + plus;
    }
};

} // namespace

TEST_CASE("autoawait makes a synchronous function of an asynchronous one", "[autoawait]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    run_task(in_portal(how, [] {
        std::vector<std::string> const names{"a", "bb", "ccc"};
        std::vector<std::size_t> sizes;
        std::ranges::transform(names, std::back_inserter(sizes), autoawait(size_later));
        CHECK(sizes == std::vector<std::size_t>{1, 2, 3});
        std::function<std::size_t(std::string const&)> const erased = autoawait(size_later);
        CHECK(erased("four") == 4);
    }));
}

TEST_CASE("autoawait's arguments may be references, and live until the await is over", "[autoawait]") {
    run_task(greenback::with_portal_run_sync([] {
        int number = 21;
        CHECK(autoawait(double_later)(number, std::make_unique<int>(1), std::string("abc")) == 46);
        CHECK(number == 42);
    }));
}

TEST_CASE("autoawait takes pointers to members, move-only functions and every call", "[autoawait]") {
    run_task(greenback::with_portal_run_sync([] {
        account const a;
        CHECK(autoawait(&account::balance_later)(a, 2) == 7);
        CHECK(autoawait(&account::balance_later)(&a, 3) == 8);

        auto move_only = autoawait([p = std::make_unique<int>(3)]() { return value_of(*p, true); });
        static_assert(!std::is_copy_constructible_v<decltype(move_only)>);
        CHECK(move_only() == 3);
        CHECK(std::as_const(move_only)() == 3);
        CHECK(std::move(move_only)() == 3);

        int calls = 0;
        auto counting = autoawait([&calls, own = 0]() mutable {
            ++calls;
            return value_of(++own, true);
        });
        static_assert(std::is_copy_constructible_v<decltype(counting)>);
        static_assert(!std::is_invocable_v<decltype(counting) const&>);
        CHECK(counting() == 1);
        auto copy = counting;
        CHECK(copy() == 2);
        CHECK(counting() == 2);
        CHECK(calls == 3);

        struct once {
            asio::awaitable<int> operator()() && { return value_of(9, true); }
        };
        static_assert(!std::is_invocable_v<decltype(autoawait(once()))&>);
        CHECK(autoawait(once())() == 9);
    }));
}

TEST_CASE("autoawait awaits whatever await_ takes, and returns what that returns", "[autoawait]") {
    asio::io_context context(1);
    run_task(context, context.get_executor(), greenback::with_portal_run_sync([&] {
                 static_assert(std::is_void_v<decltype(autoawait(yield_now<>)())>);
                 autoawait(yield_now<>)();
                 auto const wait = autoawait([&] {
                     asio::steady_timer timer(context, std::chrono::milliseconds(1));
                     return test::sleep_ms();
                 });
                 wait();
                 CHECK(autoawait([] { return asio::this_coro::executor; })() ==
                       asio::any_io_executor(context.get_executor()));
                 autoawait([] { return std::suspend_never(); })();
                 auto moved = autoawait([] { return value_of(std::make_unique<int>(4), true); })();
                 CHECK(*moved == 4);
             }));
}

TEST_CASE("an exception passes through autoawait as what it is", "[autoawait]") {
    run_task(greenback::with_portal_run_sync([] {
        CHECK_THROWS_AS(autoawait([] { return test::throwing(std::out_of_range("x"), true); })(), std::out_of_range);
        CHECK_THROWS_AS(autoawait([]() -> asio::awaitable<void> { throw std::domain_error("not a coroutine"); })(),
                        std::domain_error);
    }));
}

TEST_CASE("a task is cancelled, or destroyed, inside autoawait", "[autoawait]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    bool aborted = false, gone = false;
    {
        asio::io_context context(1);
        asio::cancellation_signal stop;
        auto const wait = autoawait(test::forever);
        auto const cancelled = [&] {
            try {
                wait();
            } catch (test::system_error const& e) {
                aborted = e.code() == asio::error::operation_aborted;
            }
        };
        asio::co_spawn(context, in_portal(how, cancelled), asio::bind_cancellation_slot(stop.slot(), asio::detached));
        auto const destroyed = [&] {
            try {
                wait();
            } catch (greenback::abandoned const&) {
                gone = true;
            }
        };
        asio::co_spawn(context, in_portal(how, destroyed), asio::detached);
        test::poll_all(context);
        stop.emit(asio::cancellation_type::terminal);
        test::poll_all(context);
    }
    CHECK(aborted);
    CHECK(gone);
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("autoawait without a portal says so, and where it was made", "[autoawait]") {
    auto const f = autoawait(yield_now<>);
    std::string const line = "autoawait.cpp:" + std::to_string(__LINE__ - 1);
    CHECK_THROWS_AS(f(), greenback::no_portal);
    CHECK_THROWS_WITH(f(), test::has_text(line));
}
