// SPDX-License-Identifier: MIT

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/event_loop.hpp"
#include "support/every_kind.hpp"
#include "support/sanitizers.hpp"
#include "support/tasks.hpp"

#include <atomic>
#include <chrono>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using asio::cancellation_type;
using greenback::await_;
using greenback::await_for;
using greenback::with_timeout;
using namespace asio::experimental::awaitable_operators;
using namespace std::chrono_literals;

namespace {

template <class F> std::string outcome_of(F f) {
    try {
        f();
        return "completed";
    } catch (test::system_error const& e) {
        return e.code() == asio::error::operation_aborted ? "operation_aborted"
               : e.code() == asio::error::timed_out       ? "timed_out"
                                                          : e.what();
    } catch (std::exception const& e) {
        return e.what();
    }
}

struct counter {
    int& n;
    explicit counter(int& count) : n(count) {}
    counter(counter const&) = delete;
    ~counter() { ++n; }
};

struct no_default {
    std::unique_ptr<int> n;
    explicit no_default(int number) : n(std::make_unique<int>(number)) {}
};

asio::awaitable<no_default> make(int n, bool suspend) {
    co_await test::yield_if(suspend);
    co_return no_default(n);
}

asio::awaitable<void> waits(int& unwound) {
    counter const c(unwound);
    co_await test::forever();
}

// Swallows its cancellation, and goes on for a while.
asio::awaitable<void> lingers(bool& ended) {
    try {
        co_await test::forever();
    } catch (test::system_error const&) {
    }
    co_await asio::this_coro::reset_cancellation_state();
    for (int i = 0; i != 10; ++i)
        co_await test::yield_now();
    ended = true;
}

} // namespace

TEST_CASE("what ends in time gives its result or its exception", "[await_for]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    auto const suspend = GENERATE(false, true);
    asio::io_context context;
    test::run_task(context, context, test::in_portal(how, [&] {
                       CHECK(await_for(1h, test::value_of(1, suspend)) == 1);
                       CHECK(*await_for(1h, make(2, suspend)).n == 2);
                       static_assert(std::is_void_v<decltype(await_for(1h, test::yield_now()))>);
                       await_for(1h, test::yield_if(suspend));
                       CHECK(outcome_of([&] { await_for(1h, test::throwing(std::runtime_error("it"), suspend)); }) ==
                             "it");
                       CHECK(greenback::has_portal());
                   }));
    // The timer is gone, or run_all would have waited for an hour.
}

TEST_CASE("what does not is cancelled and waited for, and timed_out thrown", "[await_for]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    int unwound = 0;
    bool ended = false;
    test::run_task(context, context, test::in_portal(how, [&] {
                       CHECK(outcome_of([&] { await_for(1ms, waits(unwound)); }) == "timed_out");
                       CHECK(unwound == 1);
                       CHECK(outcome_of([&] { await_for(1ms, lingers(ended)); }) == "timed_out");
                       CHECK(ended);
                       CHECK(outcome_of([&] { await_for(1ms, waits(unwound) && waits(unwound)); }) == "timed_out");
                       CHECK(unwound == 3);
                       CHECK(await_(test::value_of(1, true)) == 1); // the task itself is not cancelled
                   }));
}

TEST_CASE("another exception than operation_aborted is thrown as it is, after the time as well", "[await_for]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    auto const translates = []() -> asio::awaitable<void> {
        try {
            co_await test::forever();
        } catch (test::system_error const&) {
            throw std::runtime_error("translated");
        }
    };
    test::run_task(context, context, test::in_portal(how, [&] {
                       CHECK(outcome_of([&] { await_for(1ms, translates()); }) == "translated");
                   }));
}

TEST_CASE("what has ended when its time is over gives its result, though the timer may be first", "[await_for]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    // Both timers have expired when the event loop looks for the first time. That of the limit is the earlier one.
    auto const tie = []() -> asio::awaitable<int> {
        std::this_thread::sleep_for(3ms);
        asio::steady_timer timer(co_await asio::this_coro::executor, asio::steady_timer::clock_type::now());
        co_await timer.async_wait(asio::use_awaitable);
        co_return 7;
    };
    test::run_task(context, context, test::in_portal(how, [&] { CHECK(await_for(1ms, tie()) == 7); }));
}

TEST_CASE("durations of every size and type", "[await_for]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    int unwound = 0;
    test::run_task(context, context, test::in_portal(how, [&] {
                       constexpr double infinite = std::numeric_limits<double>::infinity();
                       auto const long_enough = [](auto d) {
                           CHECK(await_for(d, test::value_of(1, true)) == 1);
                           CHECK(await_(with_timeout(d, [] { return await_(test::value_of(2, true)); })) == 2);
                       };
                       long_enough(std::chrono::hours::max());
                       long_enough(std::chrono::nanoseconds::max());
                       long_enough(std::chrono::nanoseconds::max() - 1ns);
                       long_enough(std::chrono::duration<double>(1e300));
                       long_enough(std::chrono::duration<double>(infinite));
                       long_enough(std::chrono::duration<float, std::ratio<86400>>(365e6F));
                       auto const too_short = [&](auto d) {
                           CHECK(outcome_of([&] { await_for(d, waits(unwound)); }) == "timed_out");
                           CHECK(await_for(d, test::value_of(1, false)) == 1); // needs no time
                       };
                       too_short(0s);
                       too_short(-1s);
                       too_short(std::chrono::hours::min());
                       too_short(std::chrono::duration<double>(-infinite));
                       too_short(std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN()));
                       too_short(std::chrono::duration<double>(1e-12));
                   }));
    CHECK(unwound == 6);
}

TEST_CASE("a cancellation of the task: operation_aborted", "[await_for]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    asio::cancellation_signal cancel;
    int unwound = 0;
    std::string first, second;
    asio::co_spawn(context,
                   test::in_portal(how,
                                   [&] {
                                       first = outcome_of([&] { await_for(1h, waits(unwound)); });
                                       second = outcome_of([&] { await_for(1h, waits(unwound)); });
                                   }),
                   asio::bind_cancellation_slot(cancel.slot(), asio::detached));
    test::poll_all(context);
    CHECK(first.empty());
    cancel.emit(cancellation_type::terminal);
    test::run_all(context);
    CHECK(first == "operation_aborted");
    CHECK(second == "operation_aborted");
    CHECK(unwound == 1); // the second has not begun
}

TEST_CASE("a cancellation that is not terminal is passed on as what it is", "[await_for]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    auto const type = GENERATE(cancellation_type::partial, cancellation_type::total);
    asio::io_context context;
    asio::cancellation_signal cancel;
    std::string outcome;
    auto seen = cancellation_type::none;
    auto const child = [&]() -> asio::awaitable<void> {
        co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
        co_await asio::this_coro::throw_if_cancelled(false);
        test::error_code ec;
        asio::steady_timer timer(co_await asio::this_coro::executor, asio::steady_timer::time_point::max());
        co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ec));
        seen = (co_await asio::this_coro::cancellation_state).cancelled();
        throw test::system_error(ec);
    };
    asio::co_spawn(
        context,
        test::in_portal(how,
                        [&] {
                            await_(asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation()));
                            outcome = outcome_of([&] { await_for(1h, child()); });
                        }),
        asio::bind_cancellation_slot(cancel.slot(), asio::detached));
    test::poll_all(context);
    cancel.emit(type);
    test::run_all(context);
    CHECK((seen & type) == type);
    CHECK(outcome == "operation_aborted");
}

TEST_CASE("a cancellation of the task after the time is over, while the other lingers", "[await_for]") {
    asio::io_context context;
    asio::cancellation_signal cancel;
    std::string outcome;
    test::gate late(context);
    auto const lingering = [&]() -> asio::awaitable<void> {
        try {
            co_await test::forever();
        } catch (test::system_error const&) {
        }
        co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
        cancel.emit(cancellation_type::terminal);
        co_await test::yield_now();
    };
    asio::co_spawn(context,
                   greenback::with_portal_run_sync([&] { outcome = outcome_of([&] { await_for(1ms, lingering()); }); }),
                   asio::bind_cancellation_slot(cancel.slot(), asio::detached));
    test::run_all(context);
    CHECK(outcome == "operation_aborted");
}

TEST_CASE("without a portal nothing is run", "[await_for]") {
    bool ran = false;
    auto const task = [&]() -> asio::awaitable<void> {
        ran = true;
        co_return;
    };
    CHECK_THROWS_AS(await_for(1h, task()), greenback::no_portal);
    CHECK_THROWS_WITH(await_for(1h, task()), test::has_text("await_for.cpp:")); // the caller's line
    CHECK_FALSE(ran);
}

TEST_CASE("a task on a concrete executor type, and one that does not fit", "[await_for]") {
    using executor = asio::io_context::executor_type;
    asio::io_context context;
    int unwound = 0;
    auto const task = [&] {
        auto const quick = [&]() -> asio::awaitable<int, executor> {
            co_await test::yield_now<executor>();
            co_return 1;
        };
        auto const slow = [&]() -> asio::awaitable<void, executor> {
            counter const c(unwound);
            for (;;)
                co_await test::sleep_ms<executor>(1);
        };
        int const value = await_for(1h, quick());
        CHECK(value == 1);
        CHECK(outcome_of([&] { await_for(1ms, slow()); }) == "timed_out");
    };
    test::run_task(context, context.get_executor(), greenback::with_portal_run_sync<executor>(task));
    CHECK(unwound == 1);
    CHECK_THROWS_AS(test::run_task(context, context.get_executor(), greenback::with_portal_run_sync(task)),
                    greenback::executor_mismatch);
}

TEST_CASE("destroyed while it waits, the child goes first", "[await_for]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    auto const synchronous = GENERATE(false, true);
    auto const turns = GENERATE(1, 2, 3, 1000);
    CAPTURE(synchronous, turns);
    int unwound = 0, unwound_before = 0, frames = 0;
    bool abandoned = false;
    {
        asio::io_context context(1);
        struct frame {
            int &unwound, &unwound_before, &frames;
            ~frame() { unwound_before = unwound, ++frames; }
        };
        test::spawn(context, test::in_portal(how, [&] {
                        frame const f{unwound, unwound_before, frames};
                        asio::steady_timer on_this_stack(context, asio::steady_timer::time_point::max());
                        auto const uses_frame = [&]() -> asio::awaitable<void> {
                            counter const c(unwound);
                            co_await on_this_stack.async_wait(asio::use_awaitable);
                        };
                        auto const in_portal = [&] {
                            counter const c(unwound);
                            on_this_stack.async_wait(greenback::use_portal);
                        };
                        try {
                            if (synchronous)
                                await_(with_timeout(1h, in_portal));
                            else
                                await_for(1h, uses_frame());
                        } catch (greenback::abandoned const&) {
                            abandoned = true;
                            throw;
                        }
                    }));
        for (int i = 0; i != turns; ++i)
            context.poll_one();
    }
    CHECK(frames == 1);
    CHECK(abandoned);
    CHECK(unwound == unwound_before);
    if (turns == 1000)
        CHECK(unwound == 1);
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("with_timeout: a synchronous function, for a coroutine without a portal", "[with_timeout]") {
    int unwound = 0, seen = 0;
    auto const task = [&]() -> asio::awaitable<std::string> {
        CHECK(co_await with_timeout(1h, [] { return await_(test::value_of(1, true)); }) == 1);
        CHECK(*(co_await with_timeout(1h, [] { return no_default(2); })).n == 2);
        auto moves = [p = std::make_unique<int>(1)] { await_(test::yield_now()); }; // g++ 12 destroys it twice below
        co_await with_timeout(1h, std::move(moves));
        try {
            co_await with_timeout(1ms, [&] {
                counter const c(unwound);
                try {
                    await_(test::forever());
                } catch (test::system_error const& e) {
                    seen += e.code() == asio::error::operation_aborted;
                    throw;
                }
            });
        } catch (test::system_error const& e) {
            CHECK(e.code() == asio::error::timed_out);
        }
        CHECK(unwound == 1);
        CHECK(seen == 1);
        try {
            co_await with_timeout(1h, [] { throw std::runtime_error("it"); });
        } catch (std::runtime_error const& e) {
            co_return e.what();
        }
        co_return "nothing";
    };
    CHECK(test::run_task(task()) == "it");
}

TEST_CASE("with_timeout within with_timeout: the shorter time is thrown by whose it is", "[with_timeout]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    test::run_task(
        context, context, test::in_portal(how, [&] {
            std::string inner;
            auto const outer = outcome_of([&] {
                await_(with_timeout(1ms, [&] {
                    inner = outcome_of([&] { await_(with_timeout(1h, [] { await_(test::forever()); })); });
                    if (inner == "operation_aborted")
                        await_(test::yield_now()); // throws it again
                }));
            });
            CHECK(inner == "operation_aborted");
            CHECK(outer == "timed_out");
            inner.clear();
            CHECK(outcome_of([&] {
                      await_(with_timeout(1h, [&] { inner = outcome_of([&] { await_for(1ms, test::forever()); }); }));
                  }) == "completed");
            CHECK(inner == "timed_out");
        }));
}

TEST_CASE("a with_timeout that is never awaited destroys its function", "[with_timeout]") {
    auto const p = std::make_shared<int>(1);
    {
        auto const a = with_timeout(1h, [p] { return *p; });
        CHECK(p.use_count() == 2);
    }
    CHECK(p.use_count() == 1);
}

TEST_CASE("the end of the time races with the end of the task, on several threads", "[await_for]") {
    constexpr int rounds = test::sanitized ? 100 : 1000;
    std::atomic<int> in_time = 0, late = 0, wrong = 0, ended = 0;
    asio::thread_pool pool(4);
    for (int i = 0; i != rounds; ++i) {
        auto const task = [&, i] {
            int begun = 0, over = 0;
            auto const f = [&] {
                ++begun;
                counter const c(over);
                for (int n = 0; n != i % 20; ++n)
                    await_(test::yield_now());
                if (i % 3 == 0)
                    await_(test::sleep_ms(1));
                return i;
            };
            try {
                if (await_for(std::chrono::microseconds(i % 7 * 200), greenback::with_portal_run_sync(f)) != i)
                    ++wrong;
                ++in_time;
            } catch (test::system_error const& e) {
                if (e.code() != asio::error::timed_out)
                    ++wrong;
                ++late;
            }
            if (over != begun)
                ++wrong;
            ++ended;
        };
        asio::co_spawn(pool, greenback::with_portal_run_sync(task), asio::detached);
    }
    pool.join();
    CHECK(ended == rounds);
    CHECK(in_time + late == rounds);
    CHECK(wrong == 0);
    CHECK(greenback::stats().live == 0);
}
