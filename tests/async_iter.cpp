// SPDX-License-Identifier: MIT

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/event_loop.hpp"
#include "support/every_kind.hpp"
#include "support/tasks.hpp"

#include <asio/experimental/channel.hpp>
#include <asio/experimental/concurrent_channel.hpp>
#include <asio/experimental/coro.hpp>

#include <algorithm>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using greenback::async_iter;
using greenback::await_;
using test::in_portal;
using test::run_task;
using test::yield_now;

namespace {

/// 1, 2 … up to a last one; then an exception, if it has one.
class counter {
public:
    explicit counter(int last, std::exception_ptr then = nullptr) : last_(last), then_(std::move(then)) {}
    asio::awaitable<std::optional<int>> operator()() { return next(); }
    asio::awaitable<std::optional<int>> next() {
        ++asked;
        co_await yield_now();
        if (given_ == last_) {
            if (then_)
                std::rethrow_exception(then_);
            co_return std::nullopt;
        }
        co_return ++given_;
    }
    int asked = 0;

private:
    int last_, given_ = 0;
    std::exception_ptr then_;
};

asio::experimental::coro<int> count_to(asio::any_io_executor, int last) {
    for (int i = 1; i <= last; ++i)
        co_yield i;
}

template <class Range> std::vector<int> all_of(Range&& range) {
    std::vector<int> all;
    for (int i : range)
        all.push_back(i);
    return all;
}

using channel = asio::experimental::channel<void(test::error_code, int)>;
using range = greenback::async_range<counter>;
static_assert(std::ranges::input_range<range> && std::ranges::input_range<greenback::async_range<counter&>>);
static_assert(!std::ranges::forward_range<range> && !std::ranges::view<range>);
static_assert(std::movable<range> && !std::copyable<range>);
static_assert(std::is_same_v<std::ranges::range_reference_t<range>, int&>);

} // namespace

TEST_CASE("async_iter gives the elements of a function, owned or referred to", "[async_iter]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    run_task(in_portal(how, [] {
        CHECK(all_of(async_iter(counter(3))) == std::vector{1, 2, 3});
        CHECK(all_of(async_iter(counter(0))).empty());
        counter own(3);
        CHECK(all_of(async_iter(own)) == std::vector{1, 2, 3});
        CHECK(own.asked == 4);
        CHECK(all_of(async_iter(own)).empty());
        counter bound(2);
        CHECK(all_of(async_iter(std::bind_front(&counter::next, &bound))) == std::vector{1, 2});
    }));
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("nothing is read ahead: leaving the loop loses nothing", "[async_iter]") {
    run_task(greenback::with_portal_run_sync([] {
        counter source(10);
        for (int i : async_iter(source))
            if (i == 2)
                break;
        CHECK(source.asked == 2);
        CHECK(all_of(async_iter(source)).front() == 3);
    }));
}

TEST_CASE("async_iter works with algorithms and views", "[async_iter]") {
    run_task(greenback::with_portal_run_sync([] {
        std::vector<int> squares;
        std::ranges::transform(async_iter(counter(3)), std::back_inserter(squares), [](int i) { return i * i; });
        CHECK(squares == std::vector{1, 4, 9});
        auto even = async_iter(counter(6)) | std::views::filter([](int i) { return i % 2 == 0; }) |
                    std::views::transform([](int i) { return i * 10; });
        CHECK(all_of(even) == std::vector{20, 40, 60});
        counter source(9);
        CHECK(all_of(async_iter(source) | std::views::take_while([](int i) { return i < 3; })) == std::vector{1, 2});
        CHECK(source.asked == 3);
        counter asked_for_one_more(9); // which std::views::take does
        CHECK(all_of(async_iter(asked_for_one_more) | std::views::take(3)) == std::vector{1, 2, 3});
        CHECK(asked_for_one_more.asked == 4);
        CHECK(std::ranges::count_if(async_iter(counter(5)), [](int i) { return i > 2; }) == 3);
    }));
}

TEST_CASE("elements may be moved out, and need not be copyable or have a default", "[async_iter]") {
    struct item {
        explicit item(int n) : number(std::make_unique<int>(n)) {}
        std::unique_ptr<int> number;
    };
    run_task(greenback::with_portal_run_sync([] {
        int n = 0;
        std::vector<item> items;
        for (item& i : async_iter([&n]() -> asio::awaitable<std::optional<item>> {
                 co_await yield_now();
                 if (n == 3)
                     co_return std::nullopt;
                 co_return item(++n);
             }))
            items.push_back(std::move(i));
        REQUIRE(items.size() == 3);
        CHECK(*items[2].number == 3);
    }));
}

TEST_CASE("an exception ends the range", "[async_iter]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    run_task(in_portal(how, [] {
        auto numbers = async_iter(counter(2, std::make_exception_ptr(std::out_of_range("no more"))));
        auto i = numbers.begin();
        CHECK(*i == 1);
        ++i;
        CHECK(*i == 2);
        CHECK(i != numbers.end());
        CHECK_THROWS_AS(++i, std::out_of_range);
        CHECK(i == numbers.end());
    }));
}

TEST_CASE("a range is moved, with the element it is at", "[async_iter]") {
    run_task(greenback::with_portal_run_sync([] {
        // Closures have no assignment, and ranges need one.
        auto const make = [](int first) {
            return async_iter([first]() mutable -> asio::awaitable<std::optional<int>> { co_return first++; });
        };
        auto a = make(1);
        CHECK(*a.begin() == 1);
        auto b = std::move(a);
        CHECK(*b.begin() == 2);
        a = make(10);
        b = std::move(a);
        CHECK(*b.begin() == 10);
        counter one(3), two(3);
        auto c = async_iter(one), d = async_iter(two);
        c = std::move(d);
        CHECK(*c.begin() == 1);
        CHECK(two.asked == 1);
    }));
}

TEST_CASE("async_iter gives what comes by a channel, until that is closed", "[async_iter]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context(1);
    channel numbers(context);
    asio::experimental::concurrent_channel<void(test::error_code, std::string)> texts(context, 4);
    int sum = 0;
    std::string text;
    test::spawn(context, in_portal(how, [&] {
                    for (int i : async_iter(numbers))
                        sum += i;
                    for (std::string& t : async_iter(texts))
                        text += t;
                }));
    test::spawn(context, [](channel& c, auto& t) -> asio::awaitable<void> {
        for (int i = 1; i <= 4; ++i)
            co_await c.async_send(test::error_code(), i, asio::use_awaitable);
        c.close();
        co_await t.async_send(test::error_code(), "a", asio::use_awaitable);
        co_await t.async_send(test::error_code(), "b", asio::use_awaitable);
        co_await yield_now();
        co_await yield_now();
        co_await yield_now();
        co_await yield_now();
        t.close();
    }(numbers, texts));
    test::run_all(context);
    CHECK(sum == 10);
    CHECK(text == "ab");
}

TEST_CASE("another error of a channel is thrown", "[async_iter]") {
    asio::io_context context(1);
    channel numbers(context, 2);
    numbers.try_send(test::error_code(), 1);
    numbers.try_send(test::error_code(asio::error::connection_reset), 0);
    run_task(context, context.get_executor(), greenback::with_portal_run_sync([&] {
                 auto range = async_iter(numbers);
                 auto i = range.begin();
                 CHECK(*i == 1);
                 CHECK_THROWS_AS(++i, test::system_error);
                 CHECK(i == range.end());
             }));
}

TEST_CASE("async_iter gives what a coro yields", "[async_iter]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context(1);
    run_task(context, context.get_executor(), in_portal(how, [&] {
                 CHECK(all_of(async_iter(count_to(context.get_executor(), 3))) == std::vector{1, 2, 3});
                 auto own = count_to(context.get_executor(), 4);
                 for (int i : async_iter(own))
                     if (i == 2)
                         break;
                 CHECK(all_of(async_iter(own)) == std::vector{3, 4});
             }));
}

TEST_CASE("a task is cancelled, or destroyed, while it waits for an element", "[async_iter]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    bool aborted = false, gone = false;
    {
        asio::io_context context(1);
        channel numbers(context);
        asio::cancellation_signal stop;
        auto const cancelled = [&] {
            auto range = async_iter([]() -> asio::awaitable<std::optional<int>> {
                co_await test::forever();
                co_return 1;
            });
            try {
                range.begin();
            } catch (test::system_error const& e) {
                aborted = e.code() == asio::error::operation_aborted && range.end() == decltype(range.begin())();
            }
        };
        asio::co_spawn(context, in_portal(how, cancelled), asio::bind_cancellation_slot(stop.slot(), asio::detached));
        auto const destroyed = [&] {
            try {
                for (int i : async_iter(numbers))
                    CHECK(i == 0);
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

TEST_CASE("async_iter without a portal says so, and where it was made", "[async_iter]") {
    counter source(3);
    auto range = async_iter(source);
    std::string const line = "async_iter.cpp:" + std::to_string(__LINE__ - 1);
    CHECK_THROWS_WITH(range.begin(), test::has_text(line));
}
