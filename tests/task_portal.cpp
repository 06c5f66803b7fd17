// SPDX-License-Identifier: MIT

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/event_loop.hpp"
#include "support/every_kind.hpp"
#include "support/tasks.hpp"

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

using greenback::await_;
using greenback::bestow_portal;
using greenback::ensure_portal;
using greenback::has_portal;
using greenback::use_portal;
using greenback::with_portal_run;
using greenback::with_portal_run_sync;
using test::made_by;

namespace {

using context_executor = asio::io_context::executor_type;
using context_strand = asio::strand<context_executor>;

// Synchronous code at some depth, which suspends.
[[gnu::noinline]] int awaits_deep(int depth) {
    if (depth != 0)
        return awaits_deep(depth - 1) + 1;
    await_(test::yield_now());
    return 0;
}

struct counted {
    inline static int alive = 0;
    counted() { ++alive; }
    counted(counted const&) { ++alive; }
    ~counted() { --alive; }
};

struct no_default {
    explicit no_default(int v) : value(v) {}
    int value;
};

} // namespace

TEST_CASE("ensure_portal serves its coroutine, the callers and what they await until the task ends", "[task_portal]") {
    asio::io_context context;
    std::vector<bool> before;
    std::vector<int> results;
    auto const asks = [&]() -> asio::awaitable<void> {
        before.push_back(has_portal());
        co_await test::yield_now();
        co_await ensure_portal();
        results.push_back(has_portal());
        results.push_back(awaits_deep(3));
        co_await test::yield_now();
        results.push_back(has_portal());
        results.push_back(awaits_deep(4));
    };
    auto const middle = [&]() -> asio::awaitable<void> {
        before.push_back(has_portal());
        co_await asks();
        results.push_back(has_portal());
        results.push_back(awaits_deep(5));
        co_await test::sleep_ms();
        results.push_back(awaits_deep(6));
    };
    auto const later = [&]() -> asio::awaitable<int> {
        int const first = awaits_deep(7);
        co_await test::yield_now();
        co_return first + awaits_deep(1);
    };
    auto const outermost = [&]() -> asio::awaitable<void> {
        before.push_back(has_portal());
        co_await test::yield_now();
        co_await middle();
        results.push_back(has_portal());
        results.push_back(co_await later());
        for (int i = 0; i != 100; ++i)
            co_await test::yield_now();
        results.push_back(has_portal());
        results.push_back(awaits_deep(9));
    };
    test::run_task(context, context, outermost());
    CHECK(before == std::vector<bool>(3, false));
    CHECK(results == std::vector<int>{1, 3, 1, 4, 1, 5, 6, 1, 8, 1, 9});
    CHECK_FALSE(has_portal());
}

TEST_CASE("ensure_portal neither suspends nor is it needed twice", "[task_portal]") {
    asio::io_context context;
    bool other_ran = false;
    test::run_task(context, context, [&]() -> asio::awaitable<void> {
        co_await test::yield_now();
        asio::post(context, [&] { other_ran = true; });
        co_await ensure_portal();
        CHECK(has_portal());
        co_await ensure_portal();
        co_await with_portal_run([]() -> asio::awaitable<void> { co_await ensure_portal(); });
        CHECK_FALSE(other_ran);
        CHECK(awaits_deep(2) == 2);
        CHECK(other_ran);
        for (int i = 0; i != 1000; ++i)
            co_await ensure_portal();
        await_(ensure_portal());
        CHECK(awaits_deep(2) == 2);
    }());
    // Of use to nobody, but legal.
    test::run_task(context, context, ensure_portal());
    test::run_task(context, context, bestow_portal(ensure_portal()));
}

TEST_CASE("an exception leaves the coroutine that asked, and the portal remains", "[task_portal]") {
    asio::io_context context;
    auto const asks_and_fails = []() -> asio::awaitable<void> {
        co_await ensure_portal();
        await_(test::throwing(std::runtime_error("from below"), true));
    };
    std::string caught;
    test::run_task(context, context, [&]() -> asio::awaitable<void> {
        try {
            co_await asks_and_fails();
        } catch (std::runtime_error const& e) {
            caught = e.what();
            CHECK(awaits_deep(3) == 3); // in the catch block of a coroutine
            CHECK(std::current_exception() != nullptr);
        }
        CHECK(has_portal());
        co_await test::yield_now();
        CHECK(awaits_deep(2) == 2);
    }());
    CHECK(caught == "from below");
}

namespace {

enum class portal_for_each { none, ensured, bestowed, run };

// Two tasks and a few handlers: everything that happens, in order.
std::vector<std::string> events(portal_for_each which) {
    asio::io_context context;
    std::vector<std::string> log;
    auto const note = [&](std::string s) { log.push_back(std::move(s)); };
    auto const inner = [&](std::string name) -> asio::awaitable<void> {
        note(name + " inner");
        asio::post(context, [&note, name] { note(name + " posted inside"); });
        co_await test::yield_now();
        note(name + " inner again");
    };
    auto const work = [&](std::string name) -> asio::awaitable<void> {
        auto const ex = co_await asio::this_coro::executor;
        note(name + " starts");
        if (which == portal_for_each::ensured)
            co_await ensure_portal();
        auto const ex_now = co_await asio::this_coro::executor;
        note(name + (ex == ex_now ? " same executor" : " other executor"));
        asio::dispatch(context, [&note, name] { note(name + " dispatched"); });
        asio::post(context, [&note, name] { note(name + " posted"); });
        for (int i = 0; i != 3; ++i) {
            co_await inner(name);
            co_await asio::dispatch(ex, asio::use_awaitable);
            note(name + " went on");
        }
        asio::co_spawn(ex, inner(name + "'s child"), asio::detached);
        co_await asio::defer(ex, asio::use_awaitable);
        note(name + " ends");
    };
    for (char const* name : {"a", "b"}) {
        auto task = which == portal_for_each::bestowed ? bestow_portal(work(name))
                    : which == portal_for_each::run    ? with_portal_run(work, std::string(name))
                                                       : work(name);
        asio::co_spawn(context, std::move(task),
                       [&note, name](std::exception_ptr e) { note(std::string(name) + (e ? " failed" : " is over")); });
        asio::post(context, [&note, name] { note(std::string("after ") + name); });
    }
    test::run_all(context);
    return log;
}

} // namespace

TEST_CASE("a portal changes neither the executor nor the order of events", "[task_portal]") {
    auto const expected = events(portal_for_each::none);
    REQUIRE(expected.size() > 30);
    CHECK(events(portal_for_each::ensured) == expected);
    CHECK(events(portal_for_each::bestowed) == expected);
    CHECK(events(portal_for_each::run) == expected);
}

TEST_CASE("with_portal_run and bestow_portal last as long as their coroutine", "[task_portal]") {
    asio::io_context context;
    auto const child = [](counted, int n) -> asio::awaitable<int> {
        bool const at_start = has_portal();
        co_await test::yield_now();
        if (n % 2)
            co_await ensure_portal(); // theirs already, and ends with them
        int const deep = awaits_deep(n);
        co_return at_start&& has_portal() ? deep : -1;
    };
    auto const fails = [](bool late) -> asio::awaitable<void> {
        if (late)
            awaits_deep(2);
        throw std::runtime_error("failed");
        co_return;
    };
    test::run_task(context, context, [&]() -> asio::awaitable<void> {
        for (int n = 0; n != 50; ++n) {
            CHECK_FALSE(has_portal());
            int const ran = co_await with_portal_run(child, counted(), n);
            CHECK(ran == n);
            CHECK_FALSE(has_portal());
            int const bestowed = co_await bestow_portal(child(counted(), n));
            CHECK(bestowed == n);
            CHECK_FALSE(has_portal());
            bool caught = false;
            try {
                co_await bestow_portal(fails(n % 2));
            } catch (std::runtime_error const&) {
                caught = true;
            }
            CHECK(caught);
            CHECK_FALSE(has_portal());
            CHECK_THROWS_AS(awaits_deep(1), greenback::no_portal);
            if (n % 10 == 0)
                co_await test::yield_now();
        }
    }());
    CHECK(counted::alive == 0);
}

TEST_CASE("a bestowed coroutine that is never awaited is destroyed unrun", "[task_portal]") {
    bool ran = false;
    auto const body = [&](counted) -> asio::awaitable<void> {
        ran = true;
        co_return;
    };
    {
        auto once = bestow_portal(body(counted()));
        auto twice = bestow_portal(bestow_portal(body(counted())));
        auto run = with_portal_run(body, counted());
        auto both = bestow_portal(with_portal_run(body, counted()));
        auto moved = std::move(once);
        auto asked = ensure_portal();
        CHECK(counted::alive > 0);
    }
    CHECK(counted::alive == 0);
    CHECK_FALSE(ran);
    asio::io_context context;
    test::run_task(context, context, bestow_portal(bestow_portal(with_portal_run(body, counted()))));
    CHECK(ran);
    CHECK(counted::alive == 0);
}

TEST_CASE("every kind of portal works inside every kind, to three levels", "[task_portal]") {
    FOR_EVERY_KIND_OF_PORTAL(outer);
    FOR_EVERY_KIND_OF_PORTAL(middle);
    asio::io_context context;
    for (auto const inner : test::every_kind) {
        CAPTURE(inner);
        int done = 0;
        auto const level = [&](auto f) {
            return [&done, f] {
                int const before = awaits_deep(2);
                f();
                int const after = awaits_deep(3);
                await_(test::in_portal(made_by::with_portal_run, [] { awaits_deep(1); }));
                done += before == 2 && after == 3 && has_portal();
            };
        };
        auto const innermost = level([] {});
        auto const in_middle = level([&] { await_(test::in_portal(inner, innermost)); });
        test::run_task(context, context,
                       test::in_portal(outer, level([&] { await_(test::in_portal(middle, in_middle)); })));
        CHECK(done == 3);
        // The same from coroutine to coroutine, with suspensions in between.
        test::run_task(context, context, [&]() -> asio::awaitable<void> {
            auto const coroutine = [&](made_by how, auto next) -> asio::awaitable<void> {
                co_await test::yield_now();
                co_await test::in_portal(how, level([] {}));
                co_await next();
                co_await test::in_portal(how, level([] {}));
            };
            auto const third = [&] { return coroutine(inner, [] { return test::yield_now(); }); };
            auto const second = [&] { return coroutine(middle, third); };
            co_await test::in_portal(outer, level([&] { await_(second()); }));
            co_await coroutine(outer, second);
        }());
        CHECK(done == 3 + 5 + 6);
    }
}

TEST_CASE("a coroutine run by await_ may call synchronous code that awaits, before and after it suspends",
          "[task_portal]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    std::function<asio::awaitable<int>(int)> const both_ways = [&](int depth) -> asio::awaitable<int> {
        int n = awaits_deep(1);
        co_await test::yield_now();
        n += awaits_deep(1);
        if (depth != 0)
            n += depth % 2 ? await_(both_ways(depth - 1)) : co_await both_ways(depth - 1);
        co_await test::yield_now();
        co_return n + awaits_deep(1);
    };
    int result = 0;
    test::run_task(context, context, test::in_portal(how, [&] { result = await_(both_ways(12)); }));
    CHECK(result == 13 * 3);
}

TEST_CASE("a child task has no portal of its parent's, and may ask for its own", "[task_portal]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    bool at_start = true, after_suspending = true, for_the_handler = true, own = false, for_the_awaiting = true;
    std::string refused;
    auto const child = [&]() -> asio::awaitable<void> {
        at_start = has_portal();
        co_await test::yield_now();
        after_suspending = has_portal();
        try {
            awaits_deep(1);
        } catch (greenback::no_portal const& e) {
            refused = e.what();
        }
    };
    auto const asking = [&]() -> asio::awaitable<void> {
        co_await ensure_portal();
        own = awaits_deep(2) == 2 && has_portal();
        co_await test::yield_now();
        own = own && awaits_deep(2) == 2;
    };
    auto const waits_for_a_portal_task = [&]() -> asio::awaitable<void> {
        co_await asio::co_spawn(context, asking(), asio::use_awaitable);
        for_the_awaiting = has_portal();
    };
    test::run_task(context, context, test::in_portal(how, [&] {
                       asio::co_spawn(context, child(), [&](std::exception_ptr) { for_the_handler = has_portal(); });
                       asio::co_spawn(context, asking(), asio::detached);
                       asio::co_spawn(context, waits_for_a_portal_task(), asio::detached);
                       await_(test::sleep_ms());
                       CHECK(awaits_deep(3) == 3);
                   }));
#if GREENBACK_ASIO_VERSION >= 103600
    CHECK_FALSE(at_start); // before that, it runs on its parent's fiber as the synchronous code itself does
#endif
    CHECK_FALSE(after_suspending);
    CHECK_THAT(refused, test::has_text("ensure_portal"));
    CHECK_FALSE(for_the_handler);
    CHECK(own);
    CHECK_FALSE(for_the_awaiting);
}

TEST_CASE("the handler of a portal's task does not see the portal", "[task_portal]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    auto const suspends = GENERATE(false, true);
    auto const fails = GENERATE(false, true);
    CAPTURE(suspends, fails);
    asio::io_context context;
    int seen = -1, seen_by_awaiting = -1;
    auto const work = [&] {
        await_(test::yield_if(suspends));
        if (fails)
            throw std::runtime_error("failed");
    };
    asio::co_spawn(context, test::in_portal(how, work), [&](std::exception_ptr) { seen = has_portal(); });
    test::run_all(context);
    CHECK(seen == 0);
    test::run_task(context, context, [&]() -> asio::awaitable<void> {
        try {
            co_await asio::co_spawn(context, test::in_portal(how, work), asio::use_awaitable);
        } catch (std::runtime_error const&) {
        }
        seen_by_awaiting = has_portal();
    }());
    CHECK(seen_by_awaiting == 0);
}

TEST_CASE("results of any movable type leave a coroutine with a portal", "[task_portal]") {
    auto const suspends = GENERATE(false, true);
    asio::io_context context;
    auto const only_movable = [=](std::unique_ptr<int> p) -> asio::awaitable<std::unique_ptr<int>> {
        await_(test::yield_if(suspends));
        ++*p;
        co_return std::move(p);
    };
    auto const constructed = [=](int v) -> asio::awaitable<no_default> {
        await_(test::yield_if(suspends));
        co_return no_default(v);
    };
    CHECK(*test::run_task(context, context, with_portal_run(only_movable, std::make_unique<int>(1))) == 2);
    CHECK(*test::run_task(context, context, bestow_portal(only_movable(std::make_unique<int>(2)))) == 3);
    CHECK(test::run_task(context, context, with_portal_run(constructed, 4)).value == 4);
    CHECK(test::run_task(context, context, bestow_portal(constructed(5))).value == 5);
    CHECK_THROWS_AS(test::run_task(context, context, bestow_portal(test::throwing(42, suspends))), int);
}

TEST_CASE("a thousand tasks have a portal each at the same time", "[task_portal]") {
    asio::io_context context;
    test::gate all_there(context);
    int waiting = 0, done = 0;
    auto const work = [&](int i) -> asio::awaitable<void> {
        if (i % 3 == 0)
            co_await test::yield_now();
        co_await ensure_portal();
        if (++waiting == 1000)
            all_there.open();
        await_(all_there.wait());
        done += awaits_deep(i % 7) == i % 7;
    };
    for (int i = 0; i != 1000; ++i)
        test::spawn(context, work(i));
    test::run_all(context);
    CHECK(done == 1000);
}

TEMPLATE_TEST_CASE("tasks on executors of any type have portals of every kind", "[task_portal]", asio::any_io_executor,
                   context_executor, context_strand) {
    using executor = TestType;
    asio::io_context context;
    executor const ex = [&]() -> executor {
        if constexpr (std::is_same_v<executor, context_strand>)
            return context_strand(context.get_executor());
        else
            return context.get_executor();
    }();
    int done = 0;
    auto const synchronous = [&] {
        await_(test::yield_now<executor>());
        asio::post(ex, use_portal);
        await_(asio::post(ex, test::deferred));
        done += has_portal() && await_(asio::this_coro::executor) == asio::any_io_executor(ex);
    };
    auto const coroutine = [&]() -> asio::awaitable<void, executor> {
        co_await test::yield_now<executor>();
        synchronous();
    };
    auto const asks = [&]() -> asio::awaitable<void, executor> {
        co_await ensure_portal<executor>();
        synchronous();
        co_await coroutine();
        CHECK((co_await asio::this_coro::executor) == ex);
    };
    test::run_task(context, ex, with_portal_run_sync<executor>(synchronous));
    test::run_task(context, ex, with_portal_run(coroutine));
    test::run_task(context, ex, bestow_portal(coroutine()));
    test::run_task(context, ex, asks());
    CHECK(done == 5);
}

TEST_CASE("an operation's awaitable may be bestowed directly", "[task_portal]") {
    asio::io_context context;
    test::run_task(context, context, [&]() -> asio::awaitable<void> {
        asio::steady_timer timer(context, std::chrono::milliseconds(1));
        co_await bestow_portal(timer.async_wait(asio::use_awaitable));
        CHECK_FALSE(has_portal());
        timer.expires_after(std::chrono::milliseconds(1));
        co_await with_portal_run([&] { return timer.async_wait(asio::use_awaitable); });
        co_await bestow_portal(asio::post(context, asio::use_awaitable));
        co_await ensure_portal();
        await_(bestow_portal(asio::post(context, asio::use_awaitable)));
        CHECK(awaits_deep(1) == 1);
    }());
    asio::steady_timer timer(context, std::chrono::milliseconds(1));
    test::run_task(context, context, bestow_portal(timer.async_wait(asio::use_awaitable)));
}
