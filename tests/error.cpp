// SPDX-License-Identifier: MIT
//
// no_portal of greenback/error.hpp: where await_ is refused, that nothing was run by then, and what the text says. The
// other errors are tested with what throws them: executor_mismatch in await.cpp, portal_busy in portal.cpp, abandoned
// in destruction.cpp.

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/event_loop.hpp"
#include "support/every_kind.hpp"
#include "support/tasks.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

using greenback::await_;
using greenback::has_portal;
using greenback::no_portal;
using namespace asio::experimental::awaitable_operators;
using namespace test;

namespace {

/// What came of an `await_` where there should be no portal.
struct attempt {
    std::string text;        ///< of the no_portal; empty if there was none
    std::string place;       ///< "file:line: " of the call
    bool had_portal = false; ///< what has_portal() said
    bool ran = false;        ///< the awaited coroutine's body was entered
    bool destroyed = false;  ///< its argument was destroyed by the time that await_ had thrown
};

struct argument {
    bool* destroyed;
    explicit argument(bool& flag) : destroyed(&flag) {}
    argument(argument&& other) noexcept : destroyed(std::exchange(other.destroyed, nullptr)) {}
    ~argument() {
        if (destroyed)
            *destroyed = true;
    }
};

asio::awaitable<void> awaited(argument, bool& ran, bool suspend) {
    ran = true;
    co_await yield_if(suspend);
}

attempt try_await(bool suspend) {
    attempt result;
    result.had_portal = has_portal();
    asio::awaitable<void> x = awaited(argument(result.destroyed), result.ran, suspend);
    try {
        result.place = std::string(__FILE__) + ':' + std::to_string(__LINE__ + 1) + ": ";
        await_(std::move(x));
    } catch (no_portal const& e) {
        result.text = e.what();
        return result;
    }
    result.destroyed = false;
    return result;
}

bool contains(std::string const& text, char const* part) { return text.find(part) != std::string::npos; }

/// Refused, unrun, with a text that says where, and what to write instead.
void check_refused(attempt const& a) {
    CHECK_FALSE(a.had_portal);
    CHECK_FALSE(a.ran);
    CHECK(a.destroyed);
    CHECK(a.text.substr(0, a.place.size()) == a.place);
}

void check_outside_of_any_task(attempt const& a) {
    check_refused(a);
    CHECK(contains(a.text, "outside of any Asio task"));
    CHECK(contains(a.text, "with_portal_run_sync"));
    CHECK(contains(a.text, "co_spawn"));
}

void check_without_portal(attempt const& a) {
    check_refused(a);
    CHECK(contains(a.text, "without a portal in this task"));
    CHECK(contains(a.text, "with_portal_run_sync"));
    CHECK(contains(a.text, "ensure_portal"));
    CHECK(contains(a.text, "co_spawn"));
}

void check_runs_inline(attempt const& a) {
    check_refused(a);
    CHECK(contains(a.text, "inline"));
    CHECK(contains(a.text, "post"));
    CHECK(contains(a.text, "ensure_portal"));
}

asio::awaitable<void> attempt_in_coroutine(bool suspend, attempt& result, bool yield_first) {
    co_await yield_if(yield_first);
    result = try_await(suspend);
}

} // namespace

TEST_CASE("await_ outside of any task throws no_portal and destroys what it was given", "[error]") {
    bool const suspend = GENERATE(false, true);
    check_outside_of_any_task(try_await(suspend));
    SECTION("also beside an event loop") {
        asio::io_context context(1);
        spawn(context, in_portal(made_by::with_portal_run_sync, [] { await_(forever()); }));
        poll_all(context);
        check_outside_of_any_task(try_await(suspend));
    }
}

TEST_CASE("await_ in a task without a portal throws no_portal", "[error]") {
    bool const suspend = GENERATE(false, true);
    bool const yield_first = GENERATE(false, true);
    attempt a;
    run_task(attempt_in_coroutine(suspend, a, yield_first));
    check_without_portal(a);
}

TEST_CASE("everything that can be awaited is refused without a portal", "[error]") {
    auto task = []() -> asio::awaitable<void> {
        asio::steady_timer timer(co_await asio::this_coro::executor);
        timer.expires_at(asio::steady_timer::time_point::min());
        CHECK_THROWS_AS(await_(timer.async_wait(deferred)), no_portal);
        CHECK_THROWS_AS(timer.async_wait(greenback::use_portal), no_portal);
        CHECK_THROWS_AS(await_(asio::this_coro::executor), no_portal);
        CHECK_THROWS_AS(await_(asio::this_coro::cancellation_state), no_portal);
        CHECK_THROWS_AS(await_(asio::this_coro::reset_cancellation_state()), no_portal);
        CHECK_THROWS_AS(await_(asio::this_coro::throw_if_cancelled()), no_portal);
        CHECK_THROWS_AS(await_(asio::this_coro::throw_if_cancelled(false)), no_portal);
    };
    run_task(task());
}

TEST_CASE("await_ after the portal has ended throws no_portal", "[error]") {
    auto const how = GENERATE(made_by::with_portal_run_sync, made_by::portal_object, made_by::with_portal_run,
                              made_by::bestow_portal);
    bool const suspend = GENERATE(false, true);
    CAPTURE(how, suspend);
    attempt before, after, later;
    auto task = [&]() -> asio::awaitable<void> {
        before = try_await(suspend);
        co_await in_portal(how, [suspend] {
            CHECK(has_portal());
            await_(yield_if(suspend));
            CHECK(has_portal());
        });
        after = try_await(suspend);
        co_await yield_now();
        later = try_await(suspend);
    };
    run_task(task());
    check_without_portal(before);
    check_without_portal(after);
    check_without_portal(later);
}

TEST_CASE("await_ in a completion handler throws no_portal", "[error]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    bool const suspend = GENERATE(false, true);
    CAPTURE(suspend);
    attempt posted, of_timer, of_task;
    asio::io_context context(1);
    auto function = [&] {
        asio::post(context, [&] { posted = try_await(suspend); });
        auto timer = std::make_shared<asio::steady_timer>(context, std::chrono::milliseconds(1));
        timer->async_wait([&, timer](error_code) { of_timer = try_await(suspend); });
        for (int i = 0; i != 3; ++i)
            await_(yield_now());
        CHECK(has_portal());
    };
    asio::co_spawn(context, in_portal(how, function), [&](std::exception_ptr e) {
        CHECK(e == nullptr);
        of_task = try_await(suspend);
    });
    run_all(context);
    check_without_portal(posted);
    check_without_portal(of_timer);
    check_without_portal(of_task);
}

TEST_CASE("a task spawned by one that has a portal has none of its own", "[error]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    bool const suspend = GENERATE(false, true);
    CAPTURE(suspend);
    attempt child, posted_child;
    std::optional<attempt> left, right;
    asio::io_context context(1);
    spawn(context, in_portal(how, [&] {
              asio::co_spawn(context, attempt_in_coroutine(suspend, child, true), asio::detached);
              asio::post(context, [&] {
                  asio::co_spawn(context, attempt_in_coroutine(suspend, posted_child, false), asio::detached);
              });
              await_(attempt_in_coroutine(suspend, left.emplace(), true) &&
                     attempt_in_coroutine(suspend, right.emplace(), true));
              CHECK(has_portal());
              await_(yield_now());
          }));
    run_all(context);
    check_without_portal(child);
    check_without_portal(posted_child);
    check_without_portal(*left);
    check_without_portal(*right);
}

TEST_CASE("a child task may have a portal of its own beside its parent's", "[error]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    FOR_EVERY_KIND_OF_PORTAL(childs);
    int done = 0;
    asio::io_context context(1);
    spawn(context, in_portal(how, [&] {
              auto child = [&]() -> asio::awaitable<void> {
                  co_await yield_now();
                  co_await in_portal(childs, [&] {
                      CHECK(has_portal());
                      await_(yield_now());
                      CHECK(has_portal());
                      ++done;
                  });
              };
              await_(child() && child());
              CHECK(has_portal());
              ++done;
          }));
    run_all(context);
    CHECK(done == 3);
}

TEST_CASE("another task that runs while one with a portal waits has none", "[error]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    bool const suspend = GENERATE(false, true);
    CAPTURE(suspend);
    attempt before, after;
    asio::io_context context(1);
    gate open(context);
    spawn(context, in_portal(how, [&] { await_(open.wait()); }));
    auto other = [&]() -> asio::awaitable<void> {
        before = try_await(suspend);
        co_await yield_now();
        open.open();
        co_await yield_now();
        co_await yield_now();
        after = try_await(suspend);
    };
    spawn(context, other());
    run_all(context);
    check_without_portal(before);
    check_without_portal(after);
}

TEST_CASE("a handler run by a nested poll() on a portal's stack can't await", "[error]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    bool const suspend = GENERATE(false, true);
    bool const same_context = GENERATE(false, true);
    CAPTURE(suspend, same_context);
    attempt a, from_task;
    bool had_portal_after = false;
    asio::io_context context(1), other(1);
    spawn(context, in_portal(how, [&] {
              asio::io_context& polled = same_context ? context : other;
              asio::post(polled, [&] { a = try_await(suspend); });
              asio::co_spawn(polled, attempt_in_coroutine(suspend, from_task, true), asio::detached);
              polled.poll();
              had_portal_after = has_portal();
              await_(yield_now());
          }));
    run_all(context);
    check_runs_inline(a);
    check_runs_inline(from_task);
    CHECK(had_portal_after);
}

TEST_CASE("a function that dispatch runs on a strand can't await on the portal that called dispatch", "[error]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    bool const suspend = GENERATE(false, true);
    CAPTURE(suspend);
    attempt a;
    bool had_portal_after = false;
    asio::io_context context(1);
    auto strand = asio::make_strand(context);
    spawn(context, in_portal(how, [&] {
              asio::dispatch(strand, [&] { a = try_await(suspend); });
              had_portal_after = has_portal();
              await_(yield_now());
          }));
    run_all(context);
    check_runs_inline(a);
    CHECK(had_portal_after);
}

TEST_CASE("an operation's initiation can't await on the portal that waits for the operation", "[error]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    bool const suspend = GENERATE(false, true);
    CAPTURE(suspend);
    std::vector<attempt> attempts;
    asio::io_context context(1);
    auto start = [&](auto&& token) {
        return asio::async_initiate<decltype(token), void()>(
            [&](auto handler) {
                attempts.push_back(try_await(suspend));
                asio::post(context, std::move(handler));
            },
            token);
    };
    auto coroutine = [&]() -> asio::awaitable<void> { co_await start(asio::use_awaitable); };
    spawn(context, in_portal(how, [&] {
              start(greenback::use_portal);
              await_(coroutine());
              await_(start(asio::use_awaitable));
              await_(start(deferred));
              CHECK(has_portal());
          }));
    run_all(context);
    CHECK(attempts.size() == 4);
    for (attempt const& a : attempts) {
        check_refused(a);
        CHECK(contains(a.text, "ensure_portal"));
    }
    if (greenback::detail::initiates_while_suspending) // on the portal's stack, under the operation's coroutine
        CHECK(contains(attempts[2].text, "Await before the operation is started"));
}

TEST_CASE("a child that its parent waits for is told to ask for a portal when it awaits in its first stretch",
          "[error]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    bool const suspend = GENERATE(false, true);
    bool const by_token = GENERATE(false, true);
    CAPTURE(suspend, by_token);
    attempt child;
    int fixed = 0;
    asio::io_context context(1);
    auto start = [&](asio::awaitable<void> a) {
        if (by_token)
            asio::co_spawn(context, std::move(a), greenback::use_portal);
        else
            await_(asio::co_spawn(context, std::move(a), asio::use_awaitable));
    };
    auto as_told = [&]() -> asio::awaitable<void> {
        co_await greenback::ensure_portal();
        await_(yield_if(suspend));
        ++fixed;
    };
    spawn(context, in_portal(how, [&] {
              start(attempt_in_coroutine(suspend, child, false));
              start(as_told());
              CHECK(has_portal());
          }));
    run_all(context);
    check_refused(child);
    CHECK(contains(child.text, "co_await greenback::ensure_portal()"));
    if (greenback::detail::initiates_while_suspending && !by_token)
        CHECK(contains(child.text,
                       "first stretch of the child task, which has no portal of its parent's: write co_await "
                       "greenback::ensure_portal() in the child"));
    CHECK(fixed == 1);
}

TEST_CASE("the text for a call outside of any task shows how to start one", "[error]") {
    attempt const a = try_await(false);
    CHECK(contains(a.text, "greenback::spawn(executor, function, greenback::rethrow)"));
}

TEST_CASE("has_portal says where await_ works", "[error]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    CHECK_FALSE(has_portal());
    auto coroutine = [](bool suspend) -> asio::awaitable<void> {
        CHECK(has_portal());
        co_await yield_if(suspend);
        CHECK(has_portal()); // it runs on the fiber
    };
    auto task = [&]() -> asio::awaitable<void> {
        CHECK_FALSE(has_portal());
        co_await in_portal(how, [&] {
            CHECK(has_portal());
            await_(coroutine(false));
            await_(coroutine(true));
            CHECK(has_portal());
        });
        // ensure_portal was awaited in a coroutine of this task: its callers have the portal too.
        CHECK(has_portal() == (how == made_by::ensure_portal));
        co_await yield_now();
        CHECK(has_portal() == (how == made_by::ensure_portal));
    };
    run_task(task());
    CHECK_FALSE(has_portal());
}
