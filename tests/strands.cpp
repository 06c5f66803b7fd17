// SPDX-License-Identifier: MIT

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/every_kind.hpp"
#include "support/sanitizers.hpp"
#include "support/tasks.hpp"

#include <atomic>
#include <coroutine>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using greenback::await_;
using greenback::has_portal;
using greenback::use_portal;

namespace {

using context_strand = asio::strand<asio::io_context::executor_type>;
using pool_strand = asio::strand<asio::thread_pool::executor_type>;

constexpr int times(int plain, int when_sanitized) { return test::sanitized ? when_sanitized : plain; }

struct resumed_by_another_thread {
    std::thread& thread;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) const {
        thread = std::thread([h] { h.resume(); });
    }
    void await_resume() const { thread.join(); }
};

struct resumed_inside {
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) const { h.resume(); }
    void await_resume() const noexcept {}
};

template <class Executor, class Inside> asio::awaitable<bool, Executor> hops(asio::io_context& context, Inside inside) {
    using token = asio::use_awaitable_t<Executor>;
    bool good = inside();
    co_await asio::post(context, token()); // not the strand's, but completes in it
    good = good && inside();
    co_await asio::dispatch(co_await asio::this_coro::executor, token());
    good = good && inside();
    std::thread t;
    await_(resumed_by_another_thread{t});
    good = good && inside();
    co_await test::sleep_ms<Executor>();
    co_return good&& inside();
}

// Everything there is to wait for; asks each time whether the strand has been kept.
template <class Executor, class Inside> std::vector<bool> waits(asio::io_context& context, Inside inside) {
    std::vector<bool> kept{inside()};
    auto const note = [&] { kept.push_back(inside()); };
    await_(test::yield_now<Executor>()), note();
    await_(asio::post(context, asio::use_awaitable_t<Executor>())), note();
    await_(asio::post(context, test::deferred)), note();
    asio::post(context, use_portal), note();
    asio::post(use_portal), note();
    asio::dispatch(context, use_portal), note();
    asio::steady_timer timer(context, std::chrono::milliseconds(1));
    timer.async_wait(use_portal), note();
    std::thread t;
    await_(resumed_by_another_thread{t}), note();
    await_(resumed_inside()), note();
    kept.push_back(await_(hops<Executor>(context, inside)));
    note();
    return kept;
}

} // namespace

TEST_CASE("a task on a strand keeps it across every kind of await", "[strands]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    auto const strand = asio::make_strand(context);
    std::vector<bool> kept;
    test::run_task(context, strand, test::in_portal(how, [&] {
                       kept = waits<asio::any_io_executor>(context, [&] { return strand.running_in_this_thread(); });
                   }));
    CHECK(kept == std::vector<bool>(12, true));
}

TEST_CASE("a task whose executor type is a strand keeps it across every kind of await", "[strands]") {
    asio::io_context context;
    context_strand const strand(context.get_executor());
    std::vector<bool> kept;
    auto const work = [&] { kept = waits<context_strand>(context, [&] { return strand.running_in_this_thread(); }); };
    auto const coroutine = [&](bool asks) -> asio::awaitable<void, context_strand> {
        if (asks)
            co_await greenback::ensure_portal<context_strand>();
        work();
    };
    SECTION("with_portal_run_sync") {
        test::run_task(context, strand, greenback::with_portal_run_sync<context_strand>(work));
    }
    SECTION("with_portal_run") { test::run_task(context, strand, greenback::with_portal_run(coroutine, false)); }
    SECTION("bestow_portal") { test::run_task(context, strand, greenback::bestow_portal(coroutine(false))); }
    SECTION("ensure_portal") { test::run_task(context, strand, coroutine(true)); }
    CHECK(kept == std::vector<bool>(12, true));
}

TEST_CASE("several tasks on one strand over a pool never run at the same time", "[strands]") {
    asio::thread_pool pool(4);
    auto const strand = asio::make_strand(pool);
    std::atomic<bool> inside{false};
    std::atomic<int> clashes{0}, outside{0}, failed{0}, ended{0};
    long counter = 0; // not atomic on purpose: ThreadSanitizer watches it
    auto const alone = [&](int work) {
        outside += !strand.running_in_this_thread();
        clashes += inside.exchange(true);
        for (int i = 0; i != work; ++i)
            counter = counter + 1;
        inside = false;
    };
    auto const coroutine = [&]() -> asio::awaitable<void> {
        alone(5);
        co_await asio::post(pool, asio::use_awaitable);
        alone(5);
        asio::post(pool, use_portal);
        alone(5);
    };
    int const tasks = 24;
    int const rounds = times(500, 60);
    for (int i = 0; i != tasks; ++i) {
        auto work = [&] {
            for (int n = 0; n != rounds; ++n) {
                alone(5);
                await_(asio::post(pool, asio::use_awaitable));
                alone(5);
                asio::post(pool, use_portal);
                alone(5);
                await_(coroutine());
                asio::dispatch(pool, use_portal);
                alone(5);
                await_(asio::post(pool, test::deferred));
                alone(5);
            }
        };
        asio::co_spawn(strand, test::in_portal(test::kind_in_turn(i), work), [&](std::exception_ptr e) {
            failed += e != nullptr;
            ++ended;
        });
    }
    pool.join();
    CHECK(ended == tasks);
    CHECK(failed == 0);
    CHECK(outside == 0);
    CHECK(clashes == 0);
    CHECK(counter == long(tasks) * rounds * 8 * 5);
}

TEST_CASE("a coroutine that goes over to another strand has that strand to itself", "[strands]") {
    // Each task lives on the pool, and goes into the strand by an operation that is bound to it.
    asio::thread_pool pool(4);
    auto const strand = asio::make_strand(pool);
    std::atomic<bool> inside{false};
    std::atomic<int> clashes{0}, outside{0}, failed{0}, ended{0};
    long counter = 0;
    auto const alone = [&] {
        outside += !strand.running_in_this_thread();
        clashes += inside.exchange(true);
        for (int i = 0; i != 5; ++i)
            counter = counter + 1;
        inside = false;
    };
    int const tasks = 16;
    int const rounds = times(1000, 100);
    for (int i = 0; i != tasks; ++i) {
        auto const coroutine = [&](bool by_post) -> asio::awaitable<void> {
            if (by_post)
                co_await asio::post(asio::bind_executor(strand, asio::use_awaitable));
            else
                co_await asio::dispatch(asio::bind_executor(strand, asio::use_awaitable));
            alone();
            co_await asio::post(pool, asio::use_awaitable);
        };
        auto work = [&, coroutine] {
            for (int n = 0; n != rounds; ++n) {
                await_(asio::post(asio::bind_executor(strand, asio::use_awaitable)));
                alone();
                asio::post(use_portal);
                asio::post(asio::bind_executor(strand, use_portal));
                alone();
                await_(asio::post(pool, asio::use_awaitable));
                await_(coroutine(n % 2));
                asio::dispatch(asio::bind_executor(strand, use_portal));
                alone();
                asio::post(use_portal);
                await_(asio::dispatch(asio::bind_executor(strand, test::deferred)));
                alone();
                asio::post(use_portal);
            }
        };
        asio::co_spawn(pool, test::in_portal(test::kind_in_turn(i), work), [&](std::exception_ptr e) {
            failed += e != nullptr;
            ++ended;
        });
    }
    pool.join();
    CHECK(ended == tasks);
    CHECK(failed == 0);
    CHECK(outside == 0);
    CHECK(clashes == 0);
    CHECK(counter == long(tasks) * rounds * 5 * 5);
}

TEST_CASE("dispatch onto an idle strand goes on inside it, from coroutines on the fiber", "[strands]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    auto const first = asio::make_strand(context);
    auto const second = asio::make_strand(context);
    std::vector<std::string> log;
    auto const note = [&](char const* where) {
        log.push_back(std::string(where) + (first.running_in_this_thread() ? " first" : "") +
                      (second.running_in_this_thread() ? " second" : ""));
    };
    auto const over = [&]() -> asio::awaitable<void> {
        note("starts");
        co_await asio::dispatch(asio::bind_executor(second, asio::use_awaitable));
        note("dispatched");
        co_await asio::dispatch(asio::bind_executor(second, asio::use_awaitable));
        note("again");
        co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
        note("posted");
    };
    // What the same coroutine does without any portal.
    test::run_task(context, first, over());
    auto const expected = std::exchange(log, {});
    REQUIRE(expected.size() == 4);
    CHECK(expected[1].find("second") != std::string::npos);
    CHECK(expected[3] == "posted first");
    test::run_task(context, first, test::in_portal(how, [&] {
                       await_(over());
                       CHECK(std::exchange(log, {}) == expected);
                       await_([](auto& body) -> asio::awaitable<void> {
                           co_await body();
                           await_(body());
                       }(over));
                       note("over");
                   }));
    auto twice = expected;
    twice.insert(twice.end(), expected.begin(), expected.end());
    twice.push_back("over first");
    CHECK(log == twice);
}

TEST_CASE("await_ returns in the strand that the awaited thing went over to", "[strands]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    auto const strand = asio::make_strand(context);
    auto const into_strand = [&](bool by_post) -> asio::awaitable<void> {
        if (by_post)
            co_await asio::post(asio::bind_executor(strand, asio::use_awaitable));
        else
            co_await asio::dispatch(asio::bind_executor(strand, asio::use_awaitable));
    };
    auto const lands_in_strand = [&](auto wait) {
        bool inside = false;
        test::run_task(context, context, test::in_portal(how, [&] {
                           await_(test::yield_now());
                           wait();
                           inside = strand.running_in_this_thread();
                       }));
        return inside;
    };
    CHECK(lands_in_strand([&] { asio::post(asio::bind_executor(strand, use_portal)); }));
    CHECK(lands_in_strand([&] { asio::dispatch(asio::bind_executor(strand, use_portal)); }));
    CHECK(lands_in_strand([&] { await_(asio::post(asio::bind_executor(strand, test::deferred))); }));
    CHECK(lands_in_strand([&] { await_(asio::dispatch(asio::bind_executor(strand, test::deferred))); }));
    CHECK(lands_in_strand([&] { await_(asio::post(asio::bind_executor(strand, asio::use_awaitable))); }));
    CHECK(lands_in_strand([&] { await_(into_strand(true)); }));
}

#if GREENBACK_ASIO_VERSION >= 102400
// Asio before 1.24 initiates an operation on the fiber. What `dispatch` runs inline in an idle strand then lies above
// the synchronous code on the same stack, which can't return into it: see docs/pitfalls.md. `post` and `use_portal`
// can.
TEST_CASE("await_ returns in the idle strand that an awaitable was dispatched to", "[strands]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    auto const coroutine = GENERATE(false, true);
    CAPTURE(coroutine);
    asio::io_context context;
    auto const strand = asio::make_strand(context);
    auto const into_strand = [&]() -> asio::awaitable<void> {
        co_await asio::dispatch(asio::bind_executor(strand, asio::use_awaitable));
    };
    bool inside = false;
    test::run_task(context, context, test::in_portal(how, [&] {
                       await_(test::yield_now());
                       if (coroutine)
                           await_(into_strand());
                       else
                           await_(asio::dispatch(asio::bind_executor(strand, asio::use_awaitable)));
                       inside = strand.running_in_this_thread();
                   }));
    CHECK(inside);
}
#endif

TEST_CASE("code that dispatch runs inline in a strand is refused a portal", "[strands]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    auto const strand = asio::make_strand(context);
    bool ran = false, may = true, refused = false, refused_token = false, afterwards = false;
    test::run_task(context, context, test::in_portal(how, [&] {
                       asio::dispatch(strand, [&] {
                           ran = true;
                           may = has_portal();
                           try {
                               await_(test::yield_now());
                           } catch (greenback::no_portal const&) {
                               refused = true;
                           }
                           try {
                               asio::post(context, use_portal);
                           } catch (greenback::no_portal const&) {
                               refused_token = true;
                           }
                       });
                       afterwards = has_portal();
                       await_(test::yield_now());
                   }));
    CHECK(ran);
    CHECK_FALSE(may);
    CHECK(refused);
    CHECK(refused_token);
    CHECK(afterwards);
}
