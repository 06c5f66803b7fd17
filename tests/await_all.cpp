// SPDX-License-Identifier: MIT

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/event_loop.hpp"
#include "support/every_kind.hpp"
#include "support/sanitizers.hpp"
#include "support/tasks.hpp"

#include <atomic>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

using asio::cancellation_type;
using greenback::await_;
using greenback::await_all;

namespace {

template <class T, class... More> auto list(asio::awaitable<T> first, More... more) {
    std::vector<asio::awaitable<T>> tasks;
    tasks.push_back(std::move(first));
    (tasks.push_back(std::move(more)), ...);
    return tasks;
}

struct counter {
    int& n;
    explicit counter(int& count) : n(count) {}
    counter(counter const&) = delete;
    ~counter() { ++n; }
};

// Waits for ever; counts how often it was unwound, and how that came.
asio::awaitable<int> waits(int& unwound, int& aborted) {
    counter const c(unwound);
    try {
        co_await test::forever();
    } catch (test::system_error const& e) {
        aborted += e.code() == asio::error::operation_aborted;
        throw;
    }
    co_return 0;
}

asio::awaitable<int> fails(char const* text, int turns) {
    for (int i = 0; i != turns; ++i)
        co_await test::yield_now();
    throw std::runtime_error(text);
}

// Swallows its cancellation and goes on for a while.
asio::awaitable<int> lingers(int& ended) {
    try {
        co_await test::forever();
    } catch (test::system_error const&) {
    }
    co_await asio::this_coro::reset_cancellation_state();
    for (int i = 0; i != 10; ++i)
        co_await test::yield_now();
    ++ended;
    co_return 1;
}

struct no_default {
    std::unique_ptr<int> n;
    explicit no_default(int number) : n(std::make_unique<int>(number)) {}
};

asio::awaitable<no_default> make(int n, int turns) {
    for (int i = 0; i != turns; ++i)
        co_await test::yield_now();
    co_return no_default(n);
}

} // namespace

TEST_CASE("results come in the order of the tasks, whatever the order they end in", "[await_all]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    test::run_task(context, context, test::in_portal(how, [&] {
                       auto const values = await_all(list(make(1, 9), make(2, 0), make(3, 4)));
                       static_assert(std::is_same_v<decltype(values), std::vector<no_default> const>);
                       REQUIRE(values.size() == 3);
                       for (int i = 0; i != 3; ++i)
                           CHECK(*values[static_cast<std::size_t>(i)].n == i + 1);
                       auto const again = await_all(list(test::value_of(true, true), test::value_of(false, false)));
                       CHECK(again == std::vector<bool>{true, false});
                       CHECK(greenback::has_portal());
                   }));
}

TEST_CASE("tasks of void return void, and all have run", "[await_all]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    int ran = 0;
    auto const task = [&ran](int turns) -> asio::awaitable<void> {
        for (int i = 0; i != turns; ++i)
            co_await test::yield_now();
        ++ran;
    };
    test::run_task(context, context, test::in_portal(how, [&] {
                       static_assert(std::is_void_v<decltype(await_all(list(task(1))))>);
                       await_all(list(task(0), task(3), task(1)));
                       CHECK(ran == 3);
                   }));
}

TEST_CASE("no tasks: nothing is waited for", "[await_all]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    bool other_ran = false;
    test::run_task(context, context, test::in_portal(how, [&] {
                       asio::post(context, [&] { other_ran = true; });
                       CHECK(await_all(std::vector<asio::awaitable<int>>()).empty());
                       await_all(std::vector<asio::awaitable<void>>());
                       CHECK_FALSE(other_ran);
                   }));
    CHECK_THROWS_AS(await_all(std::vector<asio::awaitable<int>>()), greenback::no_portal);
}

TEST_CASE("without a portal no task is run", "[await_all]") {
    int ran = 0;
    auto const task = [&ran]() -> asio::awaitable<void> {
        ++ran;
        co_return;
    };
    CHECK_THROWS_AS(await_all(list(task(), task())), greenback::no_portal);
    CHECK_THROWS_WITH(await_all(list(task(), task())), test::has_text("await_all.cpp:")); // the caller's line
    CHECK(ran == 0);
}

TEST_CASE("tasks run at the same time", "[await_all]") {
    asio::io_context context;
    test::gate gate(context);
    auto const opens = [&]() -> asio::awaitable<void> {
        gate.open();
        co_return;
    };
    test::run_task(context, context,
                   greenback::with_portal_run_sync([&] { await_all(list(gate.wait(), gate.wait(), opens())); }));
    CHECK(gate.is_open());
}

TEST_CASE("children have no portal of their own, and with_portal_run_sync gives them one", "[await_all]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    auto const unprepared = []() -> asio::awaitable<void> {
        await_(test::yield_now());
        co_return;
    };
    test::run_task(context, context, test::in_portal(how, [&] {
                       CHECK_THROWS_AS(await_all(list(unprepared())), greenback::no_portal);
                       auto const nested = [&](int n) {
                           auto const inner = await_all(list(test::value_of(n, true), test::value_of(n + 1, false)));
                           return await_(test::value_of(inner[0] + inner[1], true));
                       };
                       CHECK(await_all(list(greenback::with_portal_run_sync(nested, 1),
                                            greenback::with_portal_run_sync(nested, 10))) == std::vector<int>{3, 21});
                   }));
}

TEST_CASE("inside with_portal_run_tree children have portals", "[await_all]") {
    asio::io_context context;
    auto const child = [](int n) -> asio::awaitable<int> { co_return await_(test::value_of(n, true)); };
    auto const task = [&]() -> asio::awaitable<void> {
        CHECK(await_all(list(child(1), child(2))) == std::vector<int>{1, 2});
        co_return;
    };
    test::run_task(context, context, greenback::with_portal_run_tree(task));
}

TEST_CASE("one fails: the others are cancelled and waited for, and its exception is thrown", "[await_all]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    auto const turns = GENERATE(0, 1, 5);
    CAPTURE(turns);
    asio::io_context context;
    int unwound = 0, aborted = 0, ended = 0;
    test::run_task(context, context, test::in_portal(how, [&] {
                       CHECK_THROWS_WITH(await_all(list(waits(unwound, aborted), fails("it", turns), lingers(ended),
                                                        waits(unwound, aborted))),
                                         "it");
                       CHECK((ended == 1 || turns == 0)); // with 0, they may have been cancelled before they began
                       CHECK(unwound == aborted);
                       CHECK(await_(test::value_of(1, true)) == 1); // the task itself is not cancelled
                   }));
    if (turns != 0)
        CHECK(unwound == 2);
}

TEST_CASE("of several failures the first in time is thrown", "[await_all]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    auto const fails_when_cancelled = []() -> asio::awaitable<int> {
        try {
            co_await test::forever();
        } catch (test::system_error const&) {
            throw std::runtime_error("a consequence");
        }
        co_return 0;
    };
    test::run_task(context, context, test::in_portal(how, [&] {
                       CHECK_THROWS_WITH(await_all(list(fails_when_cancelled(), fails("late", 9), fails("first", 2))),
                                         "first");
                   }));
}

TEST_CASE("a cancellation of the task is passed on as what it is", "[await_all]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    auto const type = GENERATE(cancellation_type::terminal, cancellation_type::partial, cancellation_type::total);
    asio::io_context context;
    asio::cancellation_signal cancel;
    std::vector<cancellation_type> seen;
    std::string outcome = "waits";
    auto const child = [&]() -> asio::awaitable<void> {
        co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
        co_await asio::this_coro::throw_if_cancelled(false);
        test::error_code ec;
        asio::steady_timer timer(co_await asio::this_coro::executor, asio::steady_timer::time_point::max());
        co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ec));
        seen.push_back((co_await asio::this_coro::cancellation_state).cancelled());
        co_await test::yield_now(); // the other is to see this, before it is cancelled because of this one
        throw test::system_error(ec);
    };
    asio::co_spawn(
        context,
        test::in_portal(how,
                        [&] {
                            await_(asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation()));
                            try {
                                await_all(list(child(), child()));
                                outcome = "completed";
                            } catch (test::system_error const& e) {
                                outcome = e.code() == asio::error::operation_aborted ? "operation_aborted" : e.what();
                            }
                        }),
        asio::bind_cancellation_slot(cancel.slot(), asio::detached));
    test::poll_all(context);
    CHECK(outcome == "waits");
    cancel.emit(type);
    test::run_all(context);
    CHECK(outcome == "operation_aborted");
    REQUIRE(seen.size() == 2);
    CHECK((seen[0] & type) == type);
    CHECK((seen[1] & type) == type);
    cancel.emit(cancellation_type::terminal); // a late one finds nobody
}

TEST_CASE("a cancelled task starts no child", "[await_all]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    asio::cancellation_signal cancel;
    int ran = 0, refused = 0;
    auto const child = [&]() -> asio::awaitable<void> {
        ++ran;
        co_return;
    };
    asio::co_spawn(context,
                   test::in_portal(how,
                                   [&] {
                                       for (int i = 0; i != 2; ++i) {
                                           try {
                                               i == 0 ? await_(test::forever()) : await_all(list(child(), child()));
                                           } catch (test::system_error const& e) {
                                               refused += e.code() == asio::error::operation_aborted;
                                           }
                                       }
                                   }),
                   asio::bind_cancellation_slot(cancel.slot(), asio::detached));
    test::poll_all(context);
    cancel.emit(cancellation_type::terminal);
    test::run_all(context);
    CHECK(refused == 2);
    CHECK(ran == 0);
}

TEST_CASE("children that ignore a cancellation give their results", "[await_all]") {
    asio::io_context context;
    asio::cancellation_signal cancel;
    int ended = 0;
    std::vector<int> values;
    asio::co_spawn(context,
                   greenback::with_portal_run_sync([&] { values = await_all(list(lingers(ended), lingers(ended))); }),
                   asio::bind_cancellation_slot(cancel.slot(), asio::detached));
    test::poll_all(context);
    cancel.emit(cancellation_type::terminal);
    test::run_all(context);
    CHECK(values == std::vector<int>{1, 1});
    CHECK(ended == 2);
}

TEST_CASE("destroyed while it waits, the children go first", "[await_all]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    auto const stage = GENERATE(0, 1, 2); // just started, all wait, one has ended
    CAPTURE(stage);
    int unwound = 0, aborted = 0, children_first = 0, frames = 0;
    bool abandoned = false;
    {
        asio::io_context context(1);
        struct frame {
            int &unwound, &children_first, &frames;
            ~frame() { children_first = unwound, ++frames; }
        };
        test::spawn(context, test::in_portal(how, [&] {
                        frame const f{unwound, children_first, frames};
                        asio::steady_timer on_this_stack(context, asio::steady_timer::time_point::max());
                        auto const uses_frame = [&]() -> asio::awaitable<int> {
                            counter const c(unwound);
                            co_await on_this_stack.async_wait(asio::use_awaitable);
                            co_return 0;
                        };
                        auto const in_portal = [&] {
                            counter const c(unwound);
                            await_(test::forever());
                            return 0;
                        };
                        try {
                            await_all(list(waits(unwound, aborted), uses_frame(), test::value_of(0, true),
                                           greenback::with_portal_run_sync(in_portal)));
                        } catch (greenback::abandoned const&) {
                            abandoned = true;
                            throw;
                        }
                    }));
        if (stage == 0)
            context.poll_one();
        else if (stage == 1)
            for (int i = 0; i != 5; ++i)
                context.poll_one();
        else
            test::poll_all(context);
    }
    CHECK(frames == 1);
    CHECK(abandoned);
    CHECK(children_first == unwound);
    CHECK(aborted == 0);
    if (stage == 2)
        CHECK(unwound == 3);
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("a task on a concrete executor type, and one that does not fit", "[await_all]") {
    using executor = asio::io_context::executor_type;
    asio::io_context context;
    auto const child = [](int n) -> asio::awaitable<int, executor> {
        co_await test::yield_now<executor>();
        co_return n;
    };
    auto const task = [&] {
        std::vector<asio::awaitable<int, executor>> children;
        children.push_back(child(1));
        children.push_back(child(2));
        return await_all(std::move(children));
    };
    CHECK(test::run_task(context, context.get_executor(), greenback::with_portal_run_sync<executor>(task)) ==
          std::vector<int>{1, 2});
    CHECK_THROWS_AS(test::run_task(context, context.get_executor(), greenback::with_portal_run_sync(task)),
                    greenback::executor_mismatch);
}

TEST_CASE("children of a task on a strand stay on it", "[await_all]") {
    asio::thread_pool pool(2);
    auto const strand = asio::make_strand(pool);
    int outside = 0, inside = 0;
    std::atomic<bool> ended = false;
    auto const child = [&]() -> asio::awaitable<void> {
        for (int i = 0; i != 50; ++i) {
            co_await test::yield_now();
            ++(strand.running_in_this_thread() ? inside : outside);
        }
    };
    asio::co_spawn(strand, greenback::with_portal_run_sync([&] {
                       await_all(list(child(), child(), child()));
                       ++(strand.running_in_this_thread() ? inside : outside);
                   }),
                   [&](std::exception_ptr) { ended = true; });
    pool.join();
    CHECK(ended);
    CHECK(outside == 0);
    CHECK(inside == 151);
}

// A context's executor has another type where it counts as work: a work guard's, for one.
TEST_CASE("children of a task on a bare context's executor have strands of their own", "[await_all]") {
    asio::io_context loop;
    asio::thread_pool pool(2);
    auto const check = [&](auto const& make_executor) {
        using strand = asio::strand<decltype(make_executor())>;
        std::atomic<int> in_strands = 0;
        std::promise<void> end;
        auto const child = [&]() -> asio::awaitable<void> {
            asio::any_io_executor const here = co_await asio::this_coro::executor;
            in_strands += here.target_type() == typeid(strand);
        };
        greenback::spawn(
            make_executor(), [&] { await_all(list(child(), child())); }, [&](std::exception_ptr) { end.set_value(); });
        loop.restart();
        loop.run();
        end.get_future().get();
        CHECK(in_strands == 2);
    };
    auto const counts_as_work = asio::execution::outstanding_work.tracked;
    check([&] { return loop.get_executor(); });
    check([&] { return asio::require(loop.get_executor(), counts_as_work); });
    check([&] { return pool.get_executor(); });
    check([&] { return asio::require(pool.get_executor(), counts_as_work); });
    check([&] { return asio::system_executor(); });
}

TEST_CASE("on a pool children run, end, fail and are cancelled on several threads", "[await_all]") {
    constexpr int rounds = test::sanitized ? 60 : 300;
    std::atomic<int> good = 0, ended = 0, wrong = 0;
    asio::thread_pool pool(4);
    auto const child = [&](int n, bool failing) {
        return greenback::with_portal_run_sync([&wrong, n, failing] {
            int sum = 0;
            for (int i = 0; i != n % 7; ++i)
                sum += await_(test::value_of(1, true));
            if (sum != n % 7)
                ++wrong;
            if (failing)
                throw std::runtime_error("child");
            if (n % 5 == 0)
                await_(test::sleep_ms(1));
            return n;
        });
    };
    std::vector<std::unique_ptr<asio::cancellation_signal>> signals;
    for (int round = 0; round != rounds; ++round) {
        auto const strand = asio::make_strand(pool);
        signals.push_back(std::make_unique<asio::cancellation_signal>());
        asio::cancellation_signal& signal = *signals.back();
        auto const task = [&, round] {
            std::vector<asio::awaitable<int>> children;
            for (int i = 0; i != 8; ++i)
                children.push_back(child(round + i, round % 3 == 1 && i % 4 == 2));
            try {
                auto const values = await_all(std::move(children));
                for (int i = 0; i != 8; ++i)
                    if (values.at(static_cast<std::size_t>(i)) != round + i)
                        ++wrong;
                if (round % 3 != 1)
                    ++good;
            } catch (std::runtime_error const&) { // a child's, or operation_aborted
                if (round % 3 != 0)
                    ++good;
            }
            ++ended;
        };
        if (round % 3 == 2) { // cancelled: on the task's strand, as Asio asks for
            asio::co_spawn(strand, greenback::with_portal_run_sync(task),
                           asio::bind_cancellation_slot(signal.slot(), asio::detached));
            asio::post(pool, [strand, &signal] {
                asio::post(strand, [&signal] { signal.emit(cancellation_type::terminal); });
            });
        } else { // on the bare pool
            asio::co_spawn(pool, greenback::with_portal_run_sync(task), asio::detached);
        }
    }
    pool.join();
    CHECK(ended <= rounds);
    CHECK(good == ended);
    CHECK(wrong == 0);
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("a pool that is destroyed while children run on it leaves nothing", "[await_all]") {
    int unwound = 0;
    for (int round = 0; round != 20; ++round) {
        std::atomic<int> started = 0;
        std::atomic<int> gone = 0;
        {
            asio::thread_pool pool(2);
            struct frame {
                std::atomic<int>& gone;
                ~frame() { ++gone; }
            };
            auto const child = [&] {
                frame const f{gone};
                ++started;
                for (;;)
                    await_(test::yield_now());
            };
            asio::co_spawn(
                pool, greenback::with_portal_run_sync([&] {
                    frame const f{gone};
                    ++started;
                    await_all(list(greenback::with_portal_run_sync(child), greenback::with_portal_run_sync(child)));
                }),
                asio::detached);
            while (started != 3)
                std::this_thread::yield();
            pool.stop();
        }
        unwound += gone;
    }
    CHECK(unwound == 60);
    CHECK(greenback::stats().live == 0);
}
