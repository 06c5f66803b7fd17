// SPDX-License-Identifier: MIT
// with_portal_run_tree: a portal for a task, the tasks it spawns, and theirs.

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/tasks.hpp"

#include <greenback/diagnostics.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

using namespace asio::experimental::awaitable_operators;
using greenback::await_;
using greenback::has_portal;
using greenback::use_portal;

namespace {

template <class T = void> using task = asio::awaitable<T>;

/// Plain synchronous code that waits twice, once by each way.
int waits_twice(int value) {
    await_(test::yield_now());
    asio::post(await_(asio::this_coro::executor), use_portal);
    return value + 1;
}

/// A task that never asks for a portal; notes whether it has one at its start and after it has really suspended.
task<int> child(std::vector<bool>& had_portal, int generations) {
    had_portal.push_back(has_portal());
    int value = waits_twice(generations);
    co_await test::yield_now();
    had_portal.push_back(has_portal());
    if (generations > 0)
        value += co_await asio::co_spawn(co_await asio::this_coro::executor, child(had_portal, generations - 1),
                                         asio::use_awaitable);
    had_portal.push_back(has_portal());
    co_return value + waits_twice(0);
}

bool all(std::vector<bool> const& answers, std::size_t count) {
    CHECK(answers.size() == count);
    return std::find(answers.begin(), answers.end(), false) == answers.end();
}

struct counted {
    int& alive;
    explicit counted(int& n) : alive(n) { ++alive; }
    counted(counted const&) = delete;
    ~counted() { --alive; }
};

} // namespace

TEST_CASE("in a tree, the task itself has a portal for the duration of the function", "[tree]") {
    bool before = true, inside = false, after = true, resumed = true;
    int const result = test::run_task([&]() -> task<int> {
        before = has_portal();
        int const r = co_await greenback::with_portal_run_tree(
            [&](int i) -> task<int> {
                inside = has_portal();
                co_return waits_twice(i);
            },
            41);
        after = has_portal();
        co_await test::yield_now();
        resumed = has_portal();
        co_return r;
    }());
    CHECK(result == 42);
    CHECK_FALSE(before);
    CHECK(inside);
    CHECK_FALSE(after);
    CHECK_FALSE(resumed);
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("in a tree, spawned tasks and theirs have portals that they never asked for", "[tree]") {
    std::vector<bool> had_portal;
    int const result = test::run_task(greenback::with_portal_run_tree([&]() -> task<int> {
        co_return co_await asio::co_spawn(co_await asio::this_coro::executor, child(had_portal, 3),
                                          asio::use_awaitable);
    }));
    CHECK(result == (3 + 1) + (2 + 1) + (1 + 1) + (0 + 1) + 4);
    CHECK(all(had_portal, 12));
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("in a tree, a child that outlives the function keeps its portal", "[tree]") {
    std::vector<bool> had_portal;
    int result = 0;
    test::run_task([&]() -> task<> {
        co_await greenback::with_portal_run_tree([&]() -> task<> {
            asio::co_spawn(co_await asio::this_coro::executor, child(had_portal, 1),
                           [&](std::exception_ptr, int r) { result = r; });
        });
        CHECK_FALSE(has_portal());
    }());
    CHECK(result == (1 + 1) + (0 + 1) + 2);
    CHECK(all(had_portal, 6));
}

TEST_CASE("in a tree, the operands of || and && have portals", "[tree]") {
    std::vector<bool> had_portal;
    test::run_task(greenback::with_portal_run_tree([&]() -> task<> {
        auto [a, b] = co_await (child(had_portal, 0) && child(had_portal, 0));
        CHECK(a == 2);
        CHECK(b == 2);
        auto first = co_await (child(had_portal, 0) || test::forever());
        CHECK(first.index() == 0);
        auto parallel = await_(child(had_portal, 0) || test::forever());
        CHECK(parallel.index() == 0);
    }));
    CHECK(all(had_portal, 12));
}

TEST_CASE("in a tree, cancellation reaches a child that never asked for a portal", "[tree]") {
    std::string seen = "nothing";
    test::run_task(greenback::with_portal_run_tree([&]() -> task<> {
        co_await ([](std::string& s) -> task<> {
            co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
            try {
                await_(test::forever());
            } catch (greenback::system_error const& e) {
                s = e.code() == asio::error::operation_aborted ? "operation_aborted" : e.what();
            }
        }(seen) || test::sleep_ms());
    }));
    CHECK(seen == "operation_aborted");
}

TEST_CASE("in a tree, completion handlers have no portal", "[tree]") {
    bool in_posted = true, in_completion = true;
    test::run_task(greenback::with_portal_run_tree([&]() -> task<> {
        auto executor = co_await asio::this_coro::executor;
        asio::post(executor, [&] { in_posted = has_portal(); });
        asio::co_spawn(executor, test::yield_now(), [&](std::exception_ptr) { in_completion = has_portal(); });
        co_await test::sleep_ms();
    }));
    CHECK_FALSE(in_posted);
    CHECK_FALSE(in_completion);
}

TEST_CASE("a tree gives the task another executor, which forwards to its own, and gives that back", "[tree]") {
    asio::io_context context;
    test::run_task(context, context.get_executor(), [&]() -> task<> {
        auto const own = co_await asio::this_coro::executor;
        co_await greenback::with_portal_run_tree([&]() -> task<> {
            auto const tree = co_await asio::this_coro::executor;
            CHECK(tree != own);
            CHECK(&asio::query(tree, asio::execution::context) == &context);
            CHECK(tree == co_await asio::this_coro::executor);
        });
        CHECK(own == co_await asio::this_coro::executor);
        try {
            co_await greenback::with_portal_run_tree([]() -> task<> {
                co_await test::yield_now();
                throw std::runtime_error("thrown in the tree");
            });
        } catch (std::runtime_error const&) {
        }
        CHECK(own == co_await asio::this_coro::executor);
    }());
}

TEST_CASE("a tree on a strand keeps to the strand", "[tree]") {
    asio::thread_pool pool(4);
    auto strand = asio::make_strand(pool);
    bool kept = true;
    auto leaf = [&]() -> task<> {
        for (int i = 0; i < 50; ++i) {
            waits_twice(i);
            kept = kept && strand.running_in_this_thread();
        }
        co_return;
    };
    test::spawn(strand, greenback::with_portal_run_tree([&]() -> task<> {
                    co_await (leaf() && leaf() && leaf());
                    kept = kept && strand.running_in_this_thread();
                }));
    pool.join();
    CHECK(kept);
}

TEST_CASE("trees nest, and every other kind of portal works in them", "[tree]") {
    std::vector<bool> had_portal;
    int const result = test::run_task(greenback::with_portal_run_tree([&]() -> task<int> {
        co_await greenback::ensure_portal();
        int r = co_await greenback::with_portal_run_tree([&]() -> task<int> {
            auto first = co_await (child(had_portal, 1) || test::forever());
            co_return first.index() == 0 ? 1 : 0;
        });
        r += co_await greenback::with_portal_run_sync(waits_twice, 1);
        greenback::portal p;
        r += co_await p.run(waits_twice, 2);
        r += co_await greenback::bestow_portal(child(had_portal, 0));
        co_return r;
    }));
    CHECK(result == 1 + 2 + 3 + 2);
    CHECK(all(had_portal, 9));
}

TEST_CASE("a tree that is destroyed half way leaves nothing behind", "[tree]") {
    auto const steps = GENERATE(0, 1, 2, 3, 5, 8, 13);
    CAPTURE(steps);
    int alive = 0;
    {
        asio::io_context context;
        struct recursive {
            int& alive;
            task<> run(int depth) const {
                counted here(alive);
                waits_twice(depth);
                if (depth > 0)
                    co_await (run(depth - 1) && run(depth - 1));
                await_(test::forever());
            }
        };
        test::spawn(context, greenback::with_portal_run_tree([&]() -> task<> { co_await recursive{alive}.run(2); }));
        for (int i = 0; i < steps; ++i)
            context.run_one_for(std::chrono::milliseconds(1));
    }
    CHECK(alive == 0);
    CHECK(greenback::stats().live == 0);
}

namespace {

/// Small enough to lie within an `any_io_executor`; its comparison looks at what it points to.
struct told_by_a_number {
    asio::io_context* loop;
    std::shared_ptr<int> number;
    static inline std::vector<int> compared; // the left sides

    asio::execution_context& query(asio::execution::context_t) const noexcept { return *loop; }
    static constexpr asio::execution::blocking_t query(asio::execution::blocking_t) noexcept {
        return asio::execution::blocking.never;
    }
    told_by_a_number require(asio::execution::blocking_t::never_t) const { return *this; }
    template <class F> void execute(F f) const { asio::post(*loop, std::move(f)); }
    bool operator==(told_by_a_number const& other) const noexcept {
        compared.push_back(*number);
        return *number == *other.number;
    }
    bool operator!=(told_by_a_number const& other) const noexcept { return !(*this == other); }
};

} // namespace

TEST_CASE("a tree in a portal in force: the executor that the task had before is not compared any more", "[tree]") {
    asio::io_context context;
    told_by_a_number const own{&context, std::make_shared<int>(7)};
    told_by_a_number::compared.clear();
    test::run_task(context, asio::any_io_executor(own), [&]() -> task<> {
        co_await greenback::ensure_portal();
        asio::post(own, use_portal);
        co_await greenback::with_portal_run_tree([&]() -> task<> {
            asio::post(own, use_portal);
            co_return;
        });
        asio::post(own, use_portal);
    }());
    CHECK_FALSE(told_by_a_number::compared.empty());
    for (int const n : told_by_a_number::compared)
        CHECK(n == 7);
}
