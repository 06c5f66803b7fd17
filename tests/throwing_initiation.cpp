// SPDX-License-Identifier: MIT
//
// Operations whose initiation throws. Since Asio 1.24 an operation of a coroutine is initiated when the coroutine has
// suspended, so the exception leaves the event loop's run(), and the task is destroyed. Whoever wraps a task in a
// portal gets the same. Before 1.24 plain co_await ends the program, and what is left to test is use_portal.

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/every_kind.hpp"
#include "support/tasks.hpp"

#include <atomic>
#include <cstddef>
#include <exception>
#include <iterator>
#include <stdexcept>
#include <thread>
#include <vector>

using greenback::await_;
using greenback::use_portal;
using namespace test;

namespace {

struct refused : std::runtime_error {
    refused() : std::runtime_error("refused") {}
};

/// Throws before it has taken the handler.
template <class Token> auto throws_at_once(Token&& token) {
    return asio::async_initiate<Token, void(error_code)>([](auto&&) { throw refused(); }, token);
}

/// Throws when it has.
template <class Token> auto throws_with_the_handler(Token&& token) {
    return asio::async_initiate<Token, void(error_code)>(
        [](auto handler) {
            auto const taken = std::move(handler);
            throw refused();
        },
        token);
}

} // namespace

#if GREENBACK_ASIO_VERSION >= 102400

namespace {

asio::awaitable<void> initiation_throws_at_once() { co_await throws_at_once(asio::use_awaitable); }
asio::awaitable<void> initiation_throws_with_the_handler() { co_await throws_with_the_handler(asio::use_awaitable); }
asio::awaitable<void> deferred_initiation_throws() { co_await throws_with_the_handler(asio::deferred); }

asio::awaitable<void> first_step_of_a_composed_operation_throws() {
    co_await asio::async_compose<asio::use_awaitable_t<> const, void(error_code)>([](auto&) { throw refused(); },
                                                                                  asio::use_awaitable);
}

#if GREENBACK_ASIO_VERSION >= 102800 // before, an empty executor is called, and the program crashes
#define TEST_POST_TO_NO_EXECUTOR
#endif

[[maybe_unused]] asio::awaitable<void> posts_to_no_executor() {
    co_await asio::post(asio::any_io_executor(), asio::use_awaitable);
}

using awaits_a_failure = asio::awaitable<void> (*)();
struct failure {
    char const* name;
    awaits_a_failure coroutine;
};
constexpr failure failures[] = {
    {"throws at once", initiation_throws_at_once}, {"throws with the handler", initiation_throws_with_the_handler},
    {"deferred", deferred_initiation_throws},      {"composed", first_step_of_a_composed_operation_throws},
#if defined(TEST_POST_TO_NO_EXECUTOR)
    {"no executor", posts_to_no_executor},
#endif
};

/// How the task came to where it awaits the failure: who resumes it decides what the exception passes through.
enum class after { nothing, await, use_portal };

void come_there_by(after what) {
    if (what == after::await)
        await_(yield_now());
    else if (what == after::use_portal)
        asio::post(await_(asio::this_coro::executor), use_portal);
}

struct note_destruction {
    bool& destroyed;
    ~note_destruction() { destroyed = true; }
};

/// Runs a task that fails as `expected` says. @returns whether its exception left run(), and the task was destroyed.
template <class Task> void check_leaves_run(Task task) {
    asio::io_context context(1);
    bool destroyed = false, completed = false, others_go_on = false;
    std::size_t const live = greenback::stats().live;
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
            note_destruction const note{destroyed};
            co_await task();
        },
        [&](std::exception_ptr) { completed = true; });
    CHECK_THROWS(context.run());
    asio::post(context, [&] { others_go_on = true; });
    context.run();
    CHECK(others_go_on);
    CHECK(destroyed);
    CHECK_FALSE(completed);
    CHECK(greenback::stats().live == live);
    CHECK(std::uncaught_exceptions() == 0);
    CHECK_FALSE(greenback::has_portal());
}

} // namespace

TEST_CASE("what an initiation throws leaves run(), in a plain task", "[throwing_initiation]") {
    for (failure const& f : failures) {
        CAPTURE(f.name);
        check_leaves_run([&]() -> asio::awaitable<void> {
            co_await yield_now();
            co_await f.coroutine();
        });
    }
}

TEST_CASE("what an initiation throws leaves run(), awaited by synchronous code", "[throwing_initiation]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    auto const before = GENERATE(after::nothing, after::await, after::use_portal);
    CAPTURE(int(before));
    for (failure const& f : failures) {
        CAPTURE(f.name);
        check_leaves_run([&] {
            return in_portal(how, [&] {
                come_there_by(before);
                await_(f.coroutine());
                FAIL("it was awaited to its end");
            });
        });
    }
}

TEST_CASE("what an initiation throws leaves run(), awaited by a coroutine that was given a portal",
          "[throwing_initiation]") {
    auto const before = GENERATE(after::nothing, after::await, after::use_portal);
    CAPTURE(int(before));
    for (failure const& f : failures) {
        CAPTURE(f.name);
        auto const coroutine = [&]() -> asio::awaitable<void> {
            come_there_by(before);
            co_await f.coroutine();
        };
        check_leaves_run([&] { return greenback::bestow_portal(coroutine()); });
        check_leaves_run([&] { return greenback::with_portal_run(coroutine); });
        check_leaves_run([&] { return greenback::with_portal_run_tree(coroutine); });
        check_leaves_run([&]() -> asio::awaitable<void> {
            co_await greenback::ensure_portal();
            co_await coroutine();
        });
    }
}

TEST_CASE("what the initiation of a use_portal operation throws with the handler leaves run()",
          "[throwing_initiation]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    auto const before = GENERATE(after::nothing, after::await, after::use_portal);
    CAPTURE(int(before));
    check_leaves_run([&] {
        return in_portal(how, [&] {
            come_there_by(before);
            throws_with_the_handler(use_portal);
            FAIL("it was awaited to its end");
        });
    });
}

TEST_CASE("what the initiation of a deferred operation throws leaves run(), as with co_await",
          "[throwing_initiation]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    auto const before = GENERATE(after::nothing, after::await, after::use_portal);
    CAPTURE(int(before));
    check_leaves_run([]() -> asio::awaitable<void> { co_await throws_at_once(asio::deferred); });
    check_leaves_run([&] {
        return in_portal(how, [&] {
            come_there_by(before);
            await_(throws_at_once(asio::deferred));
            FAIL("it was awaited to its end");
        });
    });
    check_leaves_run([&] {
        return in_portal(how, [&] {
            come_there_by(before);
            await_(throws_with_the_handler(asio::deferred));
            FAIL("it was awaited to its end");
        });
    });
}

TEST_CASE("a completion handler that throws inside the task's last initiation is heard of by run()",
          "[throwing_initiation]") {
    // The last operation completes inline: the task ends, and its handler throws, while that is being initiated.
    auto const check = [](auto task) {
        asio::io_context context(1);
        auto const strand = asio::make_strand(context);
        std::size_t const live = greenback::stats().live;
        asio::co_spawn(strand, task(strand), [](std::exception_ptr e) {
            CHECK_FALSE(e);
            throw refused();
        });
        CHECK_THROWS_AS(context.run(), refused);
        context.run();
        CHECK(greenback::stats().live == live);
    };
    using strand = asio::strand<asio::io_context::executor_type>;
    auto const plain = [](strand s) -> asio::awaitable<void> {
        co_await yield_now();
        co_await asio::dispatch(s, asio::use_awaitable);
    };
    check(plain);
    check([&](strand s) { return greenback::bestow_portal(plain(s)); });
    check([&](strand s) -> asio::awaitable<void> {
        co_await greenback::ensure_portal();
        co_await plain(s);
    });
    FOR_EVERY_KIND_OF_PORTAL(how);
    auto const before = GENERATE(after::nothing, after::await, after::use_portal);
    CAPTURE(int(before));
    check([&](strand s) {
        return in_portal(how, [before, s] {
            come_there_by(before);
            await_(asio::dispatch(s, asio::use_awaitable));
        });
    });
    check([&](strand s) {
        return in_portal(how, [before, s] {
            come_there_by(before);
            asio::dispatch(s, use_portal);
        });
    });
}

TEST_CASE("many tasks fail in their initiation on several threads, and the others go on", "[throwing_initiation]") {
    constexpr int tasks = 400, threads = 4;
    asio::io_context context;
    std::atomic<int> destroyed = 0, ended = 0, thrown = 0;
    struct count_destruction {
        std::atomic<int>& n;
        ~count_destruction() { ++n; }
    };
    auto const task = [&](int i) -> asio::awaitable<void> {
        count_destruction const count{destroyed};
        co_await in_portal(kind_in_turn(i), [&, i] {
            come_there_by(i % 2 ? after::await : after::use_portal);
            if (i % 4 == 0)
                await_(failures[std::size_t(i / 4) % std::size(failures)].coroutine());
            else if (i % 4 == 1)
                throws_with_the_handler(use_portal);
            else
                await_(yield_now());
        });
        ++ended;
    };
    for (int i = 0; i != tasks; ++i)
        asio::co_spawn(context, task(i), asio::detached);
    std::vector<std::thread> pool;
    for (int i = 0; i != threads; ++i) {
        pool.emplace_back([&] {
            for (;;) {
                try {
                    context.run();
                    return;
                } catch (std::exception const&) {
                    ++thrown;
                }
            }
        });
    }
    for (std::thread& t : pool)
        t.join();
    CHECK(thrown == tasks / 2);
    CHECK(ended == tasks / 2);
    CHECK(destroyed == tasks);
}

#endif

TEST_CASE("what the initiation of a use_portal operation throws before it takes the handler is thrown at the call",
          "[throwing_initiation]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    int caught = 0;
    run_task(in_portal(how, [&] {
        for (int i = 0; i != 3; ++i) {
            try {
                throws_at_once(use_portal);
            } catch (refused const&) {
                ++caught;
            }
#if GREENBACK_ASIO_VERSION >= 103000 // before, post has taken the handler when it finds that out
            CHECK_THROWS_AS(asio::post(asio::any_io_executor(), use_portal), asio::execution::bad_executor);
#endif
            if (i == 1)
                await_(yield_now());
            asio::post(await_(asio::this_coro::executor), use_portal);
        }
    }));
    CHECK(caught == 3);
}

TEST_CASE("the failed initiation of a use_portal operation may be the last that a task does", "[throwing_initiation]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    CHECK_THROWS_AS(run_task(in_portal(how, [&] { throws_at_once(use_portal); })), refused);
    CHECK_THROWS_AS(run_task(in_portal(how,
                                       [&] {
                                           await_(yield_now());
                                           throws_at_once(use_portal);
                                       })),
                    refused);
}
