// SPDX-License-Identifier: MIT
//
// Every kind of portal, made where there is no memory.

#include "failing_allocations/harness.hpp"
#include "support/sanitizers.hpp"

#include <boost/context/fixedsize_stack.hpp>

#include <future>
#include <memory>
#include <optional>
#include <stdexcept>

using namespace failing;
namespace gb = greenback;

namespace {

int wait_and_count(int n) {
    gb::await_(test::yield_now());
    return n + 1;
}

asio::awaitable<int> counting_coroutine(int n) {
    int const m = wait_and_count(n);
    co_await test::yield_now();
    co_return wait_and_count(m);
}

asio::awaitable<void> child_of_tree(int& count) {
    count += wait_and_count(0);
    co_return;
}

} // namespace

TEST_CASE("spawn, with rethrow", "[failing_allocations]") {
    check_program("spawn rethrow", [] { run_spawned([] { expect(wait_and_count(1) == 2, "result"); }); });
}

TEST_CASE("spawn, with a handler", "[failing_allocations]") {
    check_program("spawn handler", [] {
        event_loop context;
        std::exception_ptr error;
        int result = 0;
        int calls = 0;
        gb::spawn(
            context, [] { return wait_and_count(1); },
            [&](std::exception_ptr e, int n) {
                ++calls;
                error = e;
                result = n;
            });
        drain(context);
        expect(calls == 1, "the handler was not called, or twice");
        if (error)
            std::rethrow_exception(error);
        expect(result == 2, "result");
    });
}

TEST_CASE("spawn, with use_awaitable", "[failing_allocations]") {
    check_program("spawn use_awaitable", [] {
        run_coroutine([]() -> asio::awaitable<void> {
            auto const executor = co_await asio::this_coro::executor;
            int const n = co_await gb::spawn(executor, [] { return wait_and_count(1); }, asio::use_awaitable);
            expect(n == 2, "result");
        });
    });
}

TEST_CASE("spawn, with use_future", "[failing_allocations]") {
    check_program("spawn use_future", [] {
        event_loop context;
        // Bound: its handler would run on threads of Asio's own otherwise.
        auto result =
            gb::spawn(context, [] { return wait_and_count(1); }, asio::bind_executor(context, asio::use_future));
        drain(context);
        expect(result.wait_for(std::chrono::seconds(0)) == std::future_status::ready, "the future is not ready");
        expect(result.get() == 2, "result");
    });
}

TEST_CASE("with_portal_run_sync", "[failing_allocations]") {
    check_program("with_portal_run_sync", [] {
        run_coroutine([]() -> asio::awaitable<void> {
            expect(co_await gb::with_portal_run_sync(wait_and_count, 1) == 2, "result");
            expect(co_await gb::with_portal_run_sync(wait_and_count, 2) == 3, "result");
        });
    });
}

TEST_CASE("with_portal_run_sync, with a stack allocator", "[failing_allocations]") {
    check_program("with_portal_run_sync allocator", [] {
        run_coroutine([]() -> asio::awaitable<void> {
            boost::context::fixedsize_stack const stacks(256 * 1024);
            expect(co_await gb::with_portal_run_sync(std::allocator_arg, stacks, wait_and_count, 1) == 2, "result");
            gb::pooled_stack const large(std::size_t(3) << 20);
            expect(co_await gb::with_portal_run_sync(std::allocator_arg, large, wait_and_count, 1) == 2, "result");
        });
    });
}

TEST_CASE("portal::run, the first and later ones", "[failing_allocations]") {
    check_program("portal::run", [] {
        run_coroutine([]() -> asio::awaitable<void> {
            gb::portal portal;
            int done = 0;
            for (int tries = 0; done != 3 && tries != 4; ++tries) {
                try { // what has failed once can be tried again, on the same portal
                    expect(co_await portal.run(wait_and_count, done) == done + 1, "result");
                    ++done;
                } catch (std::bad_alloc const&) {
                    relent();
                }
            }
            expect(done == 3, "runs");
        });
    });
}

TEST_CASE("portal::run, with a stack allocator", "[failing_allocations]") {
    check_program("portal::run allocator", [] {
        run_coroutine([]() -> asio::awaitable<void> {
            gb::portal portal(std::allocator_arg, boost::context::fixedsize_stack(256 * 1024));
            for (int i = 0; i != 2; ++i)
                expect(co_await portal.run(wait_and_count, i) == i + 1, "result");
            gb::portal moved(std::move(portal));
            expect(co_await moved.run(wait_and_count, 1) == 2, "result");
            expect(co_await portal.run(wait_and_count, 1) == 2, "result"); // NOLINT: usable
        });
    });
}

TEST_CASE("ensure_portal", "[failing_allocations]") {
    check_program("ensure_portal", [] {
        run_coroutine([]() -> asio::awaitable<void> {
            std::exception_ptr error;
            try {
                co_await gb::ensure_portal();
            } catch (std::bad_alloc const&) {
                error = std::current_exception();
                relent();
                expect(!gb::has_portal(), "a portal all the same");
            }
            co_await test::yield_now(); // the task is as it was
            if (error)
                co_await gb::ensure_portal();
            expect(wait_and_count(1) == 2, "result");
            expect(co_await counting_coroutine(1) == 3, "result");
        });
    });
}

TEST_CASE("with_portal_run", "[failing_allocations]") {
    check_program("with_portal_run", [] {
        run_coroutine([]() -> asio::awaitable<void> {
            expect(co_await gb::with_portal_run(counting_coroutine, 1) == 3, "result");
            expect(!gb::has_portal(), "a portal afterwards");
            expect(co_await gb::with_portal_run(counting_coroutine, 2) == 4, "result");
        });
    });
}

TEST_CASE("with_portal_run_tree, and a child", "[failing_allocations]") {
    check_program("with_portal_run_tree", [] {
        run_coroutine([]() -> asio::awaitable<void> {
            int count = 0;
            co_await gb::with_portal_run_tree([&count]() -> asio::awaitable<void> {
                using namespace asio::experimental::awaitable_operators;
                count += wait_and_count(0);
                auto const executor = co_await asio::this_coro::executor;
                co_await asio::co_spawn(executor, child_of_tree(count), asio::use_awaitable);
                co_await (child_of_tree(count) && child_of_tree(count));
            });
            expect(count == 4, "count");
        });
    });
}

TEST_CASE("bestow_portal", "[failing_allocations]") {
    check_program("bestow_portal", [] {
        event_loop context;
        bool done = false;
        asio::co_spawn(
            context,
            gb::bestow_portal(note_end(
                []() -> asio::awaitable<void> { expect(co_await counting_coroutine(1) == 3, "result"); }(), done)),
            gb::rethrow);
        drain(context);
        expect(done, "not done");
    });
}

TEST_CASE("nested portals", "[failing_allocations]") {
    check_program("nested", [] {
        run_spawned([] {
            // A coroutine that is awaited calls synchronous code again, and has portals of its own in it.
            gb::await_([]() -> asio::awaitable<void> {
                expect(wait_and_count(1) == 2, "result");
                expect(co_await gb::with_portal_run_sync(wait_and_count, 1) == 2, "result");
                gb::portal portal;
                expect(co_await portal.run(wait_and_count, 1) == 2, "result");
                expect(co_await gb::with_portal_run(counting_coroutine, 1) == 3, "result");
                co_await test::yield_now();
                expect(wait_and_count(1) == 2, "result");
            }());
            // And a task of its own inside of the synchronous code.
            auto const executor = gb::await_(asio::this_coro::executor);
            int const n = gb::await_(gb::spawn(executor, [] { return wait_and_count(1); }, asio::use_awaitable));
            expect(n == 2, "result");
        });
    });
}

// More than the pool has in its first region. A process for each allocation takes a sanitizer long: fewer there.
#if defined(TEST_UNDER_ASAN) || defined(TEST_UNDER_TSAN)
constexpr int count = 20;
#else
constexpr int count = 100;
#endif

TEST_CASE("many portals: the pool grows and is trimmed", "[failing_allocations]") {
    check_program("many portals", [] {
        event_loop context;
        int done = 0;
        for (int i = 0; i != count; ++i)
            gb::spawn(
                context,
                [&done] {
                    wait_and_count(1);
                    ++done;
                },
                gb::rethrow);
        drain(context);
        expect(done == count, "not all were done, and nobody was told");
    });
}
