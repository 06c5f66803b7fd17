// SPDX-License-Identifier: MIT

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/event_loop.hpp"
#include "support/every_kind.hpp"
#include "support/tasks.hpp"

#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <utility>

using greenback::abandoned;
using greenback::await_;
using greenback::await_forbidden;
using greenback::has_portal;
using greenback::no_await_lock;
using greenback::no_await_scope;
using test::in_portal;
using test::run_task;
using test::value_of;
using test::yield_now;

namespace {

/// @returns the text of the `await_forbidden` that `f` throws, or what happened instead
template <class F> std::string forbidden(F f) {
    try {
        f();
    } catch (await_forbidden const& e) {
        return e.what();
    } catch (...) {
        return "another exception";
    }
    return "not thrown";
}

std::string line(int number) { return "no_await_scope.cpp:" + std::to_string(number); }

/// A mutex that says whether it is locked.
struct watched_mutex {
    bool locked = false;
    void lock() { locked = true; }
    void unlock() { locked = false; }
    bool try_lock() { return !std::exchange(locked, true); }
};

/// A mutex of somebody's who awaits to lock it.
struct awaiting_mutex : watched_mutex {
    void lock() {
        await_(yield_now());
        watched_mutex::lock();
    }
};

/// Says when it is destroyed.
struct noted {
    explicit noted(bool& d) : destroyed(&d) {}
    noted(noted&& other) noexcept : destroyed(std::exchange(other.destroyed, nullptr)) {}
    ~noted() {
        if (destroyed)
            *destroyed = true;
    }
    bool* destroyed;
};
asio::awaitable<void> with(noted, bool& started) {
    started = true;
    co_return;
}

} // namespace

TEST_CASE("in a no_await_scope, every way to await is refused, and after it none", "[no_await_scope]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    run_task(in_portal(how, [] {
        await_(yield_now());
        {
            no_await_scope const scope("half done");
            CHECK(!has_portal());
            CHECK_THROWS_AS(await_(yield_now()), await_forbidden);
            CHECK_THROWS_AS(await_(value_of(1, false)), await_forbidden);
            CHECK_THROWS_AS(await_(asio::this_coro::executor), await_forbidden);
            asio::io_context other(1);
            CHECK_THROWS_AS(asio::post(other, greenback::use_portal), await_forbidden);
            CHECK_THROWS_AS(await_(asio::post(other, test::deferred)), await_forbidden);
            CHECK_THROWS_AS(await_(std::suspend_never()), await_forbidden);
            CHECK(!has_portal());
        }
        CHECK(has_portal());
        CHECK(await_(value_of(2, true)) == 2);
        asio::post(await_(asio::this_coro::executor), greenback::use_portal);
    }));
}

TEST_CASE("a no_await_scope works in a portal that has not awaited yet", "[no_await_scope]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    run_task(in_portal(how, [] {
        {
            no_await_scope const scope("first thing");
            CHECK_THROWS_AS(await_(value_of(1, false)), await_forbidden);
        }
        CHECK(await_(value_of(2, true)) == 2);
    }));
}

TEST_CASE("await_forbidden names the scope, its reason, and the call", "[no_await_scope]") {
    run_task(greenback::with_portal_run_sync([] {
        no_await_scope const scope("the index is being rebuilt");
        int const scope_line = __LINE__ - 1;
        std::string const text = forbidden([] { await_(yield_now()); });
        int const call_line = __LINE__ - 1;
        CHECK_THAT(text, test::has_text("the index is being rebuilt"));
        CHECK_THAT(text, test::has_text(line(scope_line)));
        CHECK_THAT(text, test::has_text(line(call_line)));
        CHECK_THAT(text, test::has_text("Await before the scope begins or after it has ended"));
        asio::io_context other(1);
        CHECK_THAT(forbidden([&] { asio::post(other, greenback::use_portal); }), test::has_text("use_portal was used"));
    }));
}

TEST_CASE("what was to be awaited in a no_await_scope is destroyed unrun", "[no_await_scope]") {
    run_task(greenback::with_portal_run_sync([] {
        no_await_scope const scope("half done");
        bool destroyed = false, started = false;
        CHECK_THROWS_AS(await_(with(noted(destroyed), started)), await_forbidden);
        CHECK(destroyed);
        CHECK(!started);
    }));
}

TEST_CASE("no_await_scopes nest, the innermost is named, and they may end in any order", "[no_await_scope]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    run_task(in_portal(how, [] {
        std::optional<no_await_scope> a, b, c;
        a.emplace("a-reason");
        b.emplace("b-reason");
        c.emplace("c-reason");
        auto const reason = [] { return forbidden([] { await_(yield_now()); }); };
        CHECK_THAT(reason(), test::has_text("c-reason"));
        b.reset();
        CHECK_THAT(reason(), test::has_text("c-reason"));
        c.reset();
        CHECK_THAT(reason(), test::has_text("a-reason"));
        c.emplace("d-reason");
        a.reset();
        CHECK_THAT(reason(), test::has_text("d-reason"));
        c.reset();
        CHECK(await_(value_of(1, true)) == 1);
    }));
}

TEST_CASE("a no_await_scope is its portal's, not its thread's", "[no_await_scope]") {
    asio::io_context context(1);
    bool other_awaited = false, done = false;
    test::spawn(context, [](bool& finished) -> asio::awaitable<void> {
        co_await greenback::ensure_portal();
        no_await_scope const scope("across a co_await");
        co_await yield_now(); // allowed: everybody sees it
        co_await yield_now();
        CHECK_THROWS_AS(await_(yield_now()), await_forbidden);
        finished = true;
    }(done));
    test::spawn(context, greenback::with_portal_run_sync([&] {
                    await_(yield_now());
                    CHECK(!done);
                    other_awaited = true;
                }));
    test::run_all(context);
    CHECK(other_awaited);
    CHECK(done);
}

TEST_CASE("no new portal gets round a no_await_scope", "[no_await_scope]") {
    run_task([]() -> asio::awaitable<void> {
        co_await greenback::ensure_portal();
        {
            no_await_scope const scope("half done");
            auto const refused = [] {
                CHECK(!has_portal());
                CHECK_THROWS_AS(await_(yield_now()), await_forbidden);
            };
            co_await greenback::with_portal_run_sync(refused);
            greenback::portal p;
            co_await p.run(refused);
            co_await greenback::ensure_portal();
            refused();
            co_await greenback::with_portal_run([=]() -> asio::awaitable<void> {
                co_await yield_now();
                refused();
            });
        }
        await_(yield_now());
    }());
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("off every portal a no_await_scope does nothing", "[no_await_scope]") {
    no_await_scope const outside("no portal");
    run_task(greenback::with_portal_run_sync([] { CHECK(await_(value_of(1, true)) == 1); }));
    run_task([]() -> asio::awaitable<void> {
        no_await_scope const scope("no portal yet");
        co_await greenback::with_portal_run_sync([] { await_(yield_now()); });
    }());
}

TEST_CASE("a task that is destroyed inside a no_await_scope stays destroyed", "[no_await_scope]") {
    struct awaits_in_the_end {
        int& count;
        ~awaits_in_the_end() {
            CHECK(!has_portal());
            CHECK_THROWS_AS(await_(yield_now()), abandoned);
            {
                no_await_scope const late("too late");
                CHECK_THROWS_AS(await_(yield_now()), abandoned);
            }
            CHECK_THROWS_AS(await_(yield_now()), abandoned);
            ++count;
        }
    };
    auto const waits_inside = [](int& count) -> asio::awaitable<void> {
        awaits_in_the_end const after{count};
        no_await_scope const outer("outer");
        awaits_in_the_end const between{count};
        no_await_scope const inner("inner");
        co_await test::forever();
    };
    FOR_EVERY_KIND_OF_PORTAL(how);
    int ended = 0;
    {
        asio::io_context context(1);
        asio::co_spawn(context,
                       in_portal(how,
                                 [&] {
                                     awaits_in_the_end const last{ended};
                                     await_(waits_inside(ended));
                                 }),
                       asio::detached);
        test::poll_all(context);
        CHECK(ended == 0);
    }
    CHECK(ended == 3);
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("a coroutine that is destroyed after its portal leaves no trace of a no_await_scope", "[no_await_scope]") {
    for (int round = 0; round != 2; ++round) {
        asio::io_context context(1);
        asio::co_spawn(
            context,
            []() -> asio::awaitable<void> {
                co_await greenback::ensure_portal();
                no_await_scope const outer("outer");
                no_await_scope const inner("inner");
                co_await test::forever();
            },
            asio::detached);
        test::poll_all(context);
    }
    run_task(greenback::with_portal_run_sync([] { CHECK(await_(value_of(1, true)) == 1); })); // on the same stack
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("a no_await_scope in a coroutine that is started inline is none of the portal's", "[no_await_scope]") {
    auto const holds_one = []() -> asio::awaitable<void> {
        no_await_scope const scope("the child's");
        co_await yield_now();
        co_await yield_now();
    };
    auto const how = GENERATE(test::made_by::with_portal_run_sync, test::made_by::portal_object);
    bool const awaited_before = GENERATE(false, true);
    CAPTURE(how, awaited_before);
    asio::io_context context(1);
    int done = 0;
    test::spawn(context, in_portal(how, [&] {
                    if (awaited_before)
                        await_(yield_now());
                    test::spawn(context, holds_one()); // before Asio 1.36 its first stretch runs on this fiber
                    CHECK(has_portal());
                    for (int i = 0; i != 4; ++i)
                        await_(yield_now()); // after the second one the child's frame is gone
                    ++done;
                }));
    test::run_all(context);
    CHECK(done == 1);
}

// Before Asio 1.36 the first stretch of a child that co_spawn starts inline can't be told from the coroutine that has
// the portal. Its scope may then keep the parent from awaiting, but must not be looked at when it is gone.
TEST_CASE("a no_await_scope of a child that goes on elsewhere is never looked at again", "[no_await_scope]") {
    asio::io_context context(1);
    bool done = false;
    test::spawn(context, [](bool& finished) -> asio::awaitable<void> {
        co_await greenback::ensure_portal();
        auto const child = []() -> asio::awaitable<void> {
            no_await_scope const outer("outer");
            no_await_scope const inner("inner");
            co_await yield_now();
            co_await yield_now();
        };
        asio::co_spawn(co_await asio::this_coro::executor, child(), greenback::rethrow);
        for (int i = 0; i != 4; ++i)
            co_await yield_now();
        try {
            await_(yield_now());
        } catch (await_forbidden const& e) {
            CHECK_THAT(e.what(), test::has_text("inner"));
        }
        no_await_scope const own("own");
        CHECK_THROWS_WITH(await_(yield_now()), test::has_text("own"));
        finished = true;
    }(done));
    test::run_all(context);
    CHECK(done);
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("an exception that leaves a no_await_scope ends it", "[no_await_scope]") {
    run_task(greenback::with_portal_run_sync([] {
        try {
            no_await_scope const scope("half done");
            await_(yield_now());
        } catch (await_forbidden const&) {
            CHECK(has_portal());
            CHECK(await_(value_of(3, true)) == 3);
        }
    }));
}

TEST_CASE("a no_await_lock holds its mutexes and forbids to await, both until it ends", "[no_await_scope]") {
    run_task(greenback::with_portal_run_sync([] {
        watched_mutex one, two;
        {
            no_await_lock const lock("both are held", one, two);
            int const lock_line = __LINE__ - 1;
            CHECK(one.locked);
            CHECK(two.locked);
            std::string const text = forbidden([] { await_(yield_now()); });
            CHECK_THAT(text, test::has_text("both are held"));
            CHECK_THAT(text, test::has_text(line(lock_line)));
        }
        CHECK(!one.locked);
        CHECK(!two.locked);
        await_(yield_now());

        std::mutex real;
        {
            no_await_lock const lock("a real one", real);
            CHECK_THROWS_AS(await_(yield_now()), await_forbidden);
        }
        CHECK(real.try_lock());
        real.unlock();

        std::shared_mutex shared;
        no_await_lock<std::shared_mutex> const explicitly("another", shared);
        CHECK(!has_portal());
    }));
}

TEST_CASE("a mutex that awaits to be locked may do so in a no_await_lock", "[no_await_scope]") {
    run_task(greenback::with_portal_run_sync([] {
        awaiting_mutex mutex;
        no_await_lock const lock("held", mutex);
        CHECK(mutex.locked);
        CHECK_THROWS_AS(await_(yield_now()), await_forbidden);
    }));
}
