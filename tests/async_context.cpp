// SPDX-License-Identifier: MIT

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/event_loop.hpp"
#include "support/every_kind.hpp"
#include "support/tasks.hpp"

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

using greenback::async_context;
using greenback::await_;
using test::in_portal;
using test::run_task;
using test::value_of;
using test::yield_now;

namespace {

/// What has happened to one resource.
struct history {
    int acquired = 0, released = 0, destroyed = 0;
};

struct resource {
    resource(history& l, int n) : log_(&l), number(n) { ++l.acquired; }
    resource(resource&& other) noexcept : log_(std::exchange(other.log_, nullptr)), number(other.number) {}
    ~resource() {
        if (log_)
            ++log_->destroyed;
    }
    history* log_;
    int number;
};

asio::awaitable<resource> acquire(history& l, int number = 7) {
    co_await yield_now();
    co_return resource(l, number);
}

auto const release = [](resource& r) -> asio::awaitable<void> {
    co_await yield_now();
    ++r.log_->released;
};

auto const failing_release = [](resource& r) -> asio::awaitable<void> {
    co_await yield_now();
    ++r.log_->released;
    throw std::domain_error("release");
};

} // namespace

TEST_CASE("async_context acquires now, and releases at the end of the scope", "[async_context]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    history l;
    run_task(in_portal(how, [&] {
        {
            async_context held(acquire(l), release);
            static_assert(std::is_same_v<decltype(*held), resource&>);
            CHECK(l.acquired == 1);
            CHECK(held.is_open());
            CHECK((*held).number == 7);
            held->number = 8;
            auto const& as_constant = held;
            static_assert(std::is_same_v<decltype(*as_constant), resource const&>);
            CHECK(as_constant->number == 8);
            CHECK(l.released == 0);
        }
        CHECK(l.released == 1);
        CHECK(l.destroyed == 1);
    }));
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("async_context of nothing", "[async_context]") {
    run_task(greenback::with_portal_run_sync([] {
        bool released = false;
        {
            async_context const held(yield_now(), [&]() -> asio::awaitable<void> {
                co_await yield_now();
                released = true;
            });
            CHECK(held.is_open());
            CHECK(!released);
        }
        CHECK(released);
    }));
}

TEST_CASE("close releases once, and may throw", "[async_context]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    history l;
    run_task(in_portal(how, [&] {
        async_context held(acquire(l), release);
        held.close();
        CHECK(l.released == 1);
        CHECK(!held.is_open());
        held.close();
        CHECK(l.released == 1);
        CHECK(l.destroyed == 1);
        async_context fails(acquire(l), failing_release);
        CHECK_THROWS_AS(fails.close(), std::domain_error);
        CHECK(!fails.is_open());
        CHECK(l.released == 2);
    }));
    CHECK(l.released == 2);
    CHECK(l.destroyed == 2);
}

TEST_CASE("what is not acquired is not released", "[async_context]") {
    bool released = false;
    run_task(greenback::with_portal_run_sync([&] {
        auto const note = [&](int) -> asio::awaitable<void> {
            released = true;
            co_return;
        };
        auto const fails = []() -> asio::awaitable<int> {
            co_await yield_now();
            throw std::out_of_range("acquire");
        };
        CHECK_THROWS_AS(async_context(fails(), note), std::out_of_range);
    }));
    CHECK(!released);
}

TEST_CASE("an exception that leaves the scope releases, and stays what it is", "[async_context]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    history l;
    run_task(in_portal(how, [&] {
        CHECK_THROWS_AS(
            [&] {
                async_context const held(acquire(l), release);
                throw std::out_of_range("body");
            }(),
            std::out_of_range);
        CHECK(l.released == 1);
        CHECK_THROWS_AS(
            [&] {
                async_context const held(acquire(l), failing_release);
                throw std::out_of_range("body");
            }(),
            std::out_of_range); // the release's is dropped
        CHECK(l.released == 2);
    }));
}

TEST_CASE("at the normal end of the scope, what the release throws is thrown", "[async_context]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    history l;
    run_task(in_portal(how, [&] {
        CHECK_THROWS_AS([&] { async_context const held(acquire(l), failing_release); }(), std::domain_error);
        CHECK(l.released == 1);
        CHECK(l.destroyed == 1);
        // Also in a scope that lies in the cleaning up after another exception.
        struct cleans_up {
            history& l;
            bool& thrown;
            cleans_up(history& of, bool& t) : l(of), thrown(t) {}
            ~cleans_up() {
                try {
                    async_context const held(acquire(l), failing_release);
                } catch (std::domain_error const&) {
                    thrown = true;
                }
            }
        };
        bool thrown = false;
        CHECK_THROWS_AS(
            [&] {
                cleans_up const c(l, thrown);
                throw std::out_of_range("x");
            }(),
            std::out_of_range);
        CHECK(thrown);
    }));
}

TEST_CASE("async_context is moved; what was moved from is closed", "[async_context]") {
    history l;
    run_task(greenback::with_portal_run_sync([&] {
        async_context first(acquire(l, 3), release);
        {
            auto second = std::move(first);
            CHECK(!first.is_open());
            CHECK(second->number == 3);
            first.close();
            CHECK(l.released == 0);
        }
        CHECK(l.released == 1);
        std::optional<decltype(first)> kept(async_context(acquire(l), release));
        kept->close(); // before the optional's destructor, which may not throw
        CHECK(l.released == 2);
    }));
    CHECK(l.released == 2);
    CHECK(l.destroyed == 2);
}

TEST_CASE("a task that was cancelled releases all the same", "[async_context]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    history l;
    test::error_code error;
    asio::io_context context(1);
    asio::cancellation_signal stop;
    auto const task = [&] {
        try {
            async_context const held(acquire(l), release);
            await_(test::forever());
        } catch (test::system_error const& e) {
            error = e.code();
        }
        CHECK_THROWS_AS(await_(yield_now()), test::system_error); // as before
    };
    asio::co_spawn(context, in_portal(how, task), asio::bind_cancellation_slot(stop.slot(), greenback::rethrow));
    test::poll_all(context);
    stop.emit(asio::cancellation_type::terminal);
    test::run_all(context);
    CHECK(error == asio::error::operation_aborted);
    CHECK(l.released == 1);
    CHECK(l.destroyed == 1);
}

TEST_CASE("a task that is destroyed does not release, but destroys", "[async_context]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    history l;
    {
        asio::io_context context(1);
        asio::co_spawn(context,
                       in_portal(how,
                                 [&] {
                                     async_context const held(acquire(l), release);
                                     await_(test::forever());
                                 }),
                       asio::detached);
        test::poll_all(context);
        CHECK(l.acquired == 1);
    }
    CHECK(l.released == 0);
    CHECK(l.destroyed == 1);
    CHECK(greenback::stats().live == 0);
}

// There no exception says that the task is being destroyed.
TEST_CASE("in a coroutine, too, a task that is destroyed does not release, but destroys", "[async_context]") {
    history l;
    auto const session = [&]() -> asio::awaitable<void> {
        async_context const held(acquire(l), release);
        co_await test::forever();
    };
    auto const ensures_portal = [&]() -> asio::awaitable<void> {
        co_await greenback::ensure_portal();
        co_await session();
    };
    {
        asio::io_context context(1);
        asio::co_spawn(context, greenback::with_portal_run(session), asio::detached);
        asio::co_spawn(context, ensures_portal, asio::detached);
        greenback::spawn(context, [&] { await_(session()); }, asio::detached);
        greenback::spawn(context, [&] { await_(greenback::with_portal_run(session)); }, asio::detached);
        test::poll_all(context);
        CHECK(l.acquired == 4);
    }
    CHECK(l.released == 0);
    CHECK(l.destroyed == 4);
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("a task that is destroyed by code in another task's portal does not release there", "[async_context]") {
    history l;
    asio::io_context outer(1);
    greenback::spawn(
        outer,
        [&] {
            asio::io_context inner(1);
            asio::co_spawn(inner, greenback::with_portal_run([&]() -> asio::awaitable<void> {
                               async_context const held(acquire(l), [](resource&) -> asio::awaitable<void> {
                                   throw std::domain_error("released");
                                   co_return;
                               });
                               co_await test::forever();
                           }),
                           asio::detached);
            test::poll_all(inner);
        },
        greenback::rethrow);
    test::run_all(outer);
    CHECK(l.acquired == 1);
    CHECK(l.destroyed == 1);
}

TEST_CASE("moved to where there is no portal it does not release; close says why not", "[async_context]") {
    history l;
    using context_type = decltype(async_context(acquire(l), release));
    std::optional<context_type> out;
    asio::io_context context(1);
    greenback::spawn(context, [&] { out.emplace(async_context(acquire(l), release)); }, greenback::rethrow);
    test::run_all(context);
    REQUIRE(out);
    SECTION("its end") { out.reset(); }
    SECTION("close") { CHECK_THROWS_AS(out->close(), greenback::no_portal); }
    CHECK(l.released == 0);
}

TEST_CASE("a task that is destroyed inside a release goes on to unwind", "[async_context]") {
    history l;
    bool gone = false;
    {
        asio::io_context context(1);
        auto const task = [&] {
            try {
                async_context const held(acquire(l), [](resource&) { return test::forever(); });
            } catch (greenback::abandoned const&) {
                gone = true;
                throw;
            }
        };
        greenback::spawn(context, task, asio::detached);
        auto const unwinding = [&] {
            async_context const held(acquire(l), [](resource&) { return test::forever(); });
            throw std::out_of_range("on its way");
        };
        greenback::spawn(context, unwinding, asio::detached);
        test::poll_all(context);
        CHECK(l.acquired == 2);
    }
    CHECK(gone);
    CHECK(l.destroyed == 2);
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("async_context without a portal says so, and where", "[async_context]") {
    history l;
    auto const make = [&] { async_context const held(acquire(l), release); };
    std::string const line = "async_context.cpp:" + std::to_string(__LINE__ - 1);
    CHECK_THROWS_WITH(make(), test::has_text(line));
    CHECK(l.acquired == 0);
}
