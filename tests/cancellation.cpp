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
#include <variant>
#include <vector>

using greenback::await_;
using greenback::use_portal;
using namespace asio::experimental::awaitable_operators;
using namespace std::chrono_literals;

namespace {

using asio::cancellation_type;

// What became of synchronous code: how its wait ended, and that it was unwound.
struct record {
    std::string how = "never ran";
    int unwound = 0;
};

struct count_unwinding {
    record& r;
    ~count_unwinding() { ++r.unwound; }
};

template <class F> std::string outcome_of(F f) {
    try {
        f();
        return "completed";
    } catch (test::system_error const& e) {
        return e.code() == asio::error::operation_aborted ? "operation_aborted" : e.what();
    } catch (std::exception const& e) {
        return e.what();
    }
}

// Waits by `wait` at the bottom of some calls, notes the outcome and lets an error through.
template <class F> [[gnu::noinline]] void wait_deep(record& r, int depth, F& wait) {
    count_unwinding const c{r};
    if (depth != 0)
        return wait_deep(r, depth - 1, wait);
    r.how = "waits";
    try {
        wait();
        r.how = "completed";
    } catch (test::system_error const& e) {
        r.how = e.code() == asio::error::operation_aborted ? "operation_aborted" : e.what();
        throw;
    }
}

using waits = std::vector<std::pair<char const*, std::function<void()>>>;

// Every way to wait for something that never happens.
waits ways_to_wait(asio::io_context& context) {
    auto const timer = [&context] {
        return std::make_shared<asio::steady_timer>(context, asio::steady_timer::time_point::max());
    };
    return {
        {"use_portal", [t = timer()] { t->async_wait(use_portal); }},
        {"await_(awaitable)", [] { await_(test::forever()); }},
        {"await_(operation's awaitable)", [t = timer()] { await_(t->async_wait(asio::use_awaitable)); }},
        {"await_(deferred)", [t = timer()] { await_(t->async_wait(test::deferred)); }},
        {"nested coroutine and synchronous code",
         [] { await_(test::in_portal(test::made_by::with_portal_run_sync, [] { await_(test::forever()); })); }},
        {"nested, by use_portal",
         [t = timer()] {
             await_([](auto kept) -> asio::awaitable<void> {
                 co_await test::yield_now();
                 kept->async_wait(use_portal);
             }(t));
         }},
    };
}

struct task {
    asio::cancellation_signal signal;
    std::string ended = "no";

    void start(asio::io_context& context, asio::awaitable<void> a) {
        asio::co_spawn(context, std::move(a), asio::bind_cancellation_slot(signal.slot(), [this](std::exception_ptr e) {
                           ended = outcome_of([&] {
                               if (e)
                                   std::rethrow_exception(e);
                           });
                       }));
    }
};

} // namespace

TEST_CASE("a cancellation requested of the task reaches what synchronous code waits for", "[cancellation]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    for (auto& [name, wait] : ways_to_wait(context)) {
        CAPTURE(name);
        record r;
        task t;
        t.start(context, test::in_portal(how, [&] { wait_deep(r, 5, wait); }));
        test::poll_all(context);
        REQUIRE(r.how == "waits");
        REQUIRE(t.ended == "no");
        t.signal.emit(cancellation_type::terminal);
        test::run_all(context);
        CHECK(r.how == "operation_aborted");
        CHECK(r.unwound == 6);
        CHECK(t.ended == "operation_aborted");
    }
}

TEST_CASE("a task already cancelled throws before anything is started", "[cancellation]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    task t;
    test::gate go(context);
    int ran = 0;
    auto const body = [&ran]() -> asio::awaitable<void> {
        ++ran;
        co_return;
    };
    auto const initiation = [&ran](auto handler) {
        ++ran;
        std::move(handler)();
    };
    auto const start = [&](auto token) { return asio::async_initiate<decltype(token), void()>(initiation, token); };
    std::vector<std::string> seen;
    t.start(context, test::in_portal(how, [&] {
                // What is cancelled here goes on: the error is swallowed. Only the state remembers.
                seen.push_back(outcome_of([&] { await_(test::forever()); }));
                seen.push_back(outcome_of([&] { await_(body()); }));
                seen.push_back(outcome_of([&] { start(use_portal); }));
                seen.push_back(outcome_of([&] { await_(start(test::deferred)); }));
                seen.push_back(outcome_of([&] { await_(start(asio::use_awaitable)); }));
                seen.push_back(outcome_of([&] { await_(std::suspend_never()); }));
                seen.push_back(outcome_of([&] {
                    // Queries and settings are answered all the same.
                    auto const state = await_(asio::this_coro::cancellation_state);
                    if (state.cancelled() == cancellation_type::none || !await_(asio::this_coro::throw_if_cancelled()))
                        throw std::logic_error("the task does not know that it is cancelled");
                    await_(asio::this_coro::throw_if_cancelled(false));
                }));
                seen.push_back(outcome_of([&] { await_(body()); }));
                seen.push_back(outcome_of([&] { start(use_portal); }));
                await_(asio::this_coro::throw_if_cancelled(true));
                seen.push_back(outcome_of([&] { await_(body()); }));
                await_(asio::this_coro::reset_cancellation_state());
                seen.push_back(outcome_of([&] { await_(body()); }));
            }));
    test::poll_all(context);
    t.signal.emit(cancellation_type::terminal);
    test::run_all(context);
    std::string const no = "operation_aborted", yes = "completed";
    CHECK(seen == std::vector<std::string>{no, no, no, no, no, no, yes, yes, yes, no, yes});
    CHECK(ran == 3);
    CHECK(t.ended == "completed");
}

namespace {

// The same program three times: as a coroutine, and as synchronous code in two styles.
struct style {
    char const* name;
    std::function<asio::awaitable<void>(asio::steady_timer&, std::vector<std::string>&, bool swallow)> run;
};

asio::awaitable<void> written_as_coroutine(asio::steady_timer& t, std::vector<std::string>& log, bool swallow) {
    auto const filter = [](cancellation_type type) { return type & cancellation_type::partial; };
    co_await asio::this_coro::reset_cancellation_state(filter, filter);
    for (int i = 0; i != 3; ++i) {
        std::string how = "completed";
        try {
            co_await t.async_wait(asio::use_awaitable);
        } catch (test::system_error const& e) {
            how = e.code() == asio::error::operation_aborted ? "operation_aborted" : e.what();
            if (!swallow) {
                log.push_back(how);
                throw;
            }
        }
        log.push_back(how);
        auto const state = co_await asio::this_coro::cancellation_state;
        log.push_back("state " + std::to_string(int(state.cancelled())));
        if (i == 1)
            co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
    }
}

template <class Wait> void written_synchronously(std::vector<std::string>& log, bool swallow, Wait wait) {
    auto const filter = [](cancellation_type type) { return type & cancellation_type::partial; };
    await_(asio::this_coro::reset_cancellation_state(filter, filter));
    for (int i = 0; i != 3; ++i) {
        std::string how = "completed";
        try {
            wait();
        } catch (test::system_error const& e) {
            how = e.code() == asio::error::operation_aborted ? "operation_aborted" : e.what();
            if (!swallow) {
                log.push_back(how);
                throw;
            }
        }
        log.push_back(how);
        auto const state = await_(asio::this_coro::cancellation_state);
        log.push_back("state " + std::to_string(int(state.cancelled())));
        if (i == 1)
            await_(asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation()));
    }
}

std::vector<std::string> cancelled_twice(style const& s, cancellation_type first, cancellation_type second,
                                         bool swallow) {
    asio::io_context context;
    asio::steady_timer timer(context, asio::steady_timer::time_point::max());
    std::vector<std::string> log;
    task t;
    t.start(context, s.run(timer, log, swallow));
    test::poll_all(context);
    for (auto const type : {first, second}) {
        log.push_back("emit " + std::to_string(int(type)));
        t.signal.emit(type);
        test::poll_all(context);
    }
    log.push_back("expire");
    timer.expires_after(0s);
    for (int i = 0; i != 4 && t.ended == "no"; ++i) {
        test::run_all(context);
        timer.expires_after(0s);
    }
    log.push_back("ended: " + t.ended);
    return log;
}

} // namespace

TEST_CASE("filters, states and outcomes are those of the same program written with co_await", "[cancellation]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    auto const swallow = GENERATE(false, true);
    style const reference{"coroutine", written_as_coroutine};
    style const synchronous[] = {
        {"use_portal",
         [=](auto& t, auto& log, bool sw) {
             return test::in_portal(
                 how, [&t, &log, sw] { written_synchronously(log, sw, [&] { t.async_wait(use_portal); }); });
         }},
        {"await_(awaitable)",
         [=](auto& t, auto& log, bool sw) {
             return test::in_portal(how, [&t, &log, sw] {
                 written_synchronously(log, sw, [&] { await_(t.async_wait(asio::use_awaitable)); });
             });
         }},
        {"await_(deferred)",
         [=](auto& t, auto& log, bool sw) {
             return test::in_portal(how, [&t, &log, sw] {
                 written_synchronously(log, sw, [&] { await_(t.async_wait(test::deferred)); });
             });
         }},
        {"a coroutine on the fiber",
         [=](auto& t, auto& log, bool sw) {
             return test::in_portal(how, [&t, &log, sw] { await_(written_as_coroutine(t, log, sw)); });
         }},
    };
    for (auto const first : {cancellation_type::total, cancellation_type::partial, cancellation_type::terminal}) {
        for (auto const second : {cancellation_type::total, cancellation_type::partial, cancellation_type::terminal}) {
            auto const expected = cancelled_twice(reference, first, second, swallow);
            REQUIRE(expected.size() > 3);
            for (style const& s : synchronous) {
                CAPTURE(s.name, swallow, int(first), int(second));
                CHECK(cancelled_twice(s, first, second, swallow) == expected);
            }
        }
    }
}

TEST_CASE("a timeout beside synchronous code ends it at its await_", "[cancellation]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    auto const reset = GENERATE(false, true);
    asio::io_context context;
    for (auto& [name, wait] : ways_to_wait(context)) {
        CAPTURE(name, reset);
        record r;
        std::size_t winner = 99;
        test::run_task(context, context, [&]() -> asio::awaitable<void> {
            asio::steady_timer timeout(context, 1ms);
            auto loser = test::in_portal(how, [&] {
                if (reset)
                    await_(asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation()));
                wait_deep(r, 3, wait);
            });
            auto const result = co_await (std::move(loser) || timeout.async_wait(asio::use_awaitable));
            winner = result.index();
        }());
        CHECK(winner == 1);
        CHECK(r.how == "operation_aborted");
        CHECK(r.unwound == 4);
    }
}

TEST_CASE("both operands of || may be portals, in a task that has one", "[cancellation]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    FOR_EVERY_KIND_OF_PORTAL(outer);
    auto const left_wins = GENERATE(false, true);
    CAPTURE(left_wins);
    asio::io_context context;
    record left, right;
    std::size_t winner = 99;
    auto const operand = [&](record& r, bool wins) {
        return test::in_portal(how, [&r, wins] {
            auto wait = [wins] { wins ? await_(test::sleep_ms()) : await_(test::forever()); };
            wait_deep(r, 2, wait);
        });
    };
    test::run_task(context, context, test::in_portal(outer, [&] {
                       auto const result = await_(operand(left, left_wins) || operand(right, !left_wins));
                       winner = result.index();
                   }));
    CHECK(winner == (left_wins ? 0 : 1));
    CHECK(left.how == (left_wins ? "completed" : "operation_aborted"));
    CHECK(right.how == (left_wins ? "operation_aborted" : "completed"));
    CHECK(left.unwound + right.unwound == 6);
}

TEST_CASE("one operand of && that fails cancels the other", "[cancellation]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    auto const fails_at_once = GENERATE(false, true);
    CAPTURE(fails_at_once);
    asio::io_context context;
    record other;
    std::string ended, ended_without_portals;
    test::run_task(context, context, [&]() -> asio::awaitable<void> {
        try {
            co_await (test::forever() && test::throwing(std::runtime_error("failed"), !fails_at_once));
        } catch (std::exception const& e) {
            ended_without_portals = e.what();
        }
    }());
    test::run_task(context, context, test::in_portal(how, [&] {
                       auto failing = test::in_portal(
                           how, [=] { await_(test::throwing(std::runtime_error("failed"), !fails_at_once)); });
                       auto waiting = test::in_portal(how, [&] {
                           auto wait = [] { await_(test::forever()); };
                           wait_deep(other, 2, wait);
                       });
                       ended = outcome_of([&] { await_(std::move(waiting) && std::move(failing)); });
                   }));
    CHECK(ended == ended_without_portals);
    CHECK(ended != "completed");
    CHECK(other.how == "operation_aborted");
    CHECK(other.unwound == 3);
}

TEST_CASE("a loser that swallows the error and awaits again ends as a coroutine would", "[cancellation]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    auto const reset = GENERATE(false, true);
    CAPTURE(reset);
    asio::io_context context;
    std::vector<std::string> seen;
    bool came_here = false;
    test::run_task(context, context, [&]() -> asio::awaitable<void> {
        auto stubborn = test::in_portal(how, [&] {
            for (int i = 0; i != 3; ++i)
                seen.push_back(outcome_of([] { await_(test::forever()); }));
            if (reset) {
                await_(asio::this_coro::reset_cancellation_state());
                seen.push_back(outcome_of([&] { await_(test::sleep_ms()); }));
            }
            came_here = true;
        });
        auto const result = co_await (test::sleep_ms() || std::move(stubborn));
        CHECK(result.index() == 0);
    }());
    CHECK(came_here);
    std::vector<std::string> expected(3, "operation_aborted");
    if (reset)
        expected.push_back("completed");
    CHECK(seen == expected);
}

TEST_CASE("a slot bound to use_portal cancels the operation and not the task", "[cancellation]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    std::string first, second;
    test::run_task(context, context, test::in_portal(how, [&] {
                       asio::cancellation_signal signal;
                       asio::steady_timer timer(context, asio::steady_timer::time_point::max());
                       asio::post(context, [&] { signal.emit(cancellation_type::terminal); });
                       first = outcome_of(
                           [&] { timer.async_wait(asio::bind_cancellation_slot(signal.slot(), use_portal)); });
                       second = outcome_of([] { await_(test::yield_now()); });
                   }));
    CHECK(first == "operation_aborted");
    CHECK(second == "completed");
}
