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
#include <utility>

using greenback::await_;
using greenback::has_portal;
using greenback::on_executor;

namespace {

// Opaque: a compiler may keep the answer in a register across an await_.
[[gnu::noinline]] std::thread::id thread_id() {
    asm volatile("" : : : "memory");
    return std::this_thread::get_id();
}

struct witness {
    int& unwound;
    ~witness() { ++unwound; }
};

// Neither copied nor moved, nor to be made without an argument.
struct pinned_function {
    int n;
    explicit pinned_function(int number) : n(number) {}
    pinned_function(pinned_function const&) = delete;
    int operator()() & { return n; }
    int operator()() && { return -n; }
    int operator()() const& { return 10 * n; }
};

struct move_only {
    std::unique_ptr<int> n;
    explicit move_only(int number) : n(std::make_unique<int>(number)) {}
};

} // namespace

TEST_CASE("on_executor takes an executor by value, its type named or not, and a context", "[on_executor]") {
    asio::thread_pool pool(1);
    greenback::spawn(
        pool,
        [&] {
            asio::any_io_executor const executor = pool.get_executor();
            CHECK(greenback::on_executor(executor, [] { return 1; }) == 1);
            CHECK(greenback::on_executor<asio::any_io_executor>(pool.get_executor(), [] { return 2; }) == 2);
            CHECK(greenback::on_executor(asio::make_strand(pool), [] { return 3; }) == 3);
            CHECK(greenback::on_executor(pool, [] { return 4; }) == 4);
        },
        [](std::exception_ptr e) { CHECK(!e); });
    pool.join();
}

TEST_CASE("a function runs on another executor, and its result comes back", "[on_executor]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::thread_pool pool(2);
    asio::io_context context;
    auto const here = thread_id();
    int local = 0;
    bool elsewhere = false, portal_there = true, back = false;
    test::run_task(context, context, test::in_portal(how, [&] {
                       int const result = on_executor(pool, [&] {
                           elsewhere = thread_id() != here;
                           portal_there = has_portal();
                           return ++local;
                       });
                       back = thread_id() == here && has_portal();
                       CHECK(result == 1);
                       on_executor(pool.get_executor(), [&] { ++local; });
                       on_executor(asio::make_strand(pool), [&] { ++local; });
                       on_executor(asio::any_io_executor(pool.get_executor()), [&] { ++local; });
                       asio::any_io_executor const constant(pool.get_executor());
                       on_executor(constant, [&] { ++local; });
                   }));
    CHECK(local == 5);
    CHECK(elsewhere);
    CHECK_FALSE(portal_there);
    CHECK(back);
}

TEST_CASE("the function is called where it is, as what it is", "[on_executor]") {
    asio::thread_pool pool(1);
    asio::io_context context;
    test::run_task(context, context, greenback::with_portal_run_sync([&] {
                       pinned_function f(3);
                       CHECK(on_executor(pool, f) == 3);
                       CHECK(on_executor(pool, std::move(f)) == -3);
                       CHECK(on_executor(pool, std::as_const(f)) == 30);
                       CHECK(on_executor(pool, &thread_id) != thread_id());
                   }));
}

TEST_CASE("results may be references, and what can only be moved", "[on_executor]") {
    asio::thread_pool pool(1);
    asio::io_context context;
    test::run_task(context, context, greenback::with_portal_run_sync([&] {
                       int n = 1;
                       static_assert(std::is_same_v<decltype(on_executor(pool, [&]() -> int& { return n; })), int&>);
                       CHECK(&on_executor(pool, [&]() -> int& { return n; }) == &n);
                       CHECK(&on_executor(pool, [&]() -> int const& { return n; }) == &n);
                       std::unique_ptr<int> p = std::make_unique<int>(4);
                       std::unique_ptr<int> const taken =
                           on_executor(pool, [&]() -> std::unique_ptr<int>&& { return std::move(p); });
                       CHECK(*taken == 4);
                       CHECK(*on_executor(pool, [] { return move_only(5); }).n == 5);
                       static_assert(std::is_void_v<decltype(on_executor(pool, [] {}))>);
                   }));
}

TEST_CASE("the function's exception comes back as it is", "[on_executor]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::thread_pool pool(1);
    asio::io_context context;
    test::run_task(context, context, test::in_portal(how, [&] {
                       CHECK_THROWS_WITH(on_executor(pool, []() -> int { throw std::runtime_error("there"); }),
                                         "there");
                       CHECK_THROWS_AS(on_executor(pool, [] { throw 7; }), int);
                       CHECK_THROWS_AS(on_executor(pool, [] { await_(test::yield_now()); }), greenback::no_portal);
                       CHECK(on_executor(pool, [] { return 1; }) == 1);
                   }));
}

TEST_CASE("the task's own executor will do", "[on_executor]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context(1);
    int calls = 0;
    bool portal_there = true;
    SECTION("an io_context with one thread") {
        test::run_task(context, context, test::in_portal(how, [&] {
                           on_executor(context, [&] {
                               ++calls;
                               portal_there = has_portal();
                           });
                       }));
    }
    SECTION("a strand") {
        auto const strand = asio::make_strand(context);
        test::run_task(context, strand, test::in_portal(how, [&] {
                           on_executor(strand, [&] {
                               calls += strand.running_in_this_thread();
                               portal_there = has_portal();
                           });
                       }));
    }
    CHECK(calls == 1);
    CHECK_FALSE(portal_there);
}

TEST_CASE("without a portal nothing is posted, and no_portal says so", "[on_executor]") {
    asio::io_context other;
    bool ran = false;
    CHECK_THROWS_AS(on_executor(other, [&] { ran = true; }), greenback::no_portal);
    CHECK_THROWS_WITH(on_executor(other, [&] { ran = true; }), test::has_text("on_executor.cpp:")); // the caller's line
    test::run_all(other);
    CHECK_FALSE(ran);
}

TEST_CASE("a cancellation does not stop the function; a task already cancelled posts none", "[on_executor]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context, other;
    asio::cancellation_signal cancel;
    int calls = 0, result = 0;
    bool refused = false;
    asio::co_spawn(context,
                   test::in_portal(how,
                                   [&] {
                                       result = on_executor(other, [&] { return ++calls; });
                                       try {
                                           on_executor(other, [&] { ++calls; });
                                       } catch (test::system_error const& e) {
                                           refused = e.code() == asio::error::operation_aborted;
                                       }
                                   }),
                   asio::bind_cancellation_slot(cancel.slot(), asio::detached));
    test::poll_all(context);
    cancel.emit(asio::cancellation_type::terminal);
    test::poll_all(context);
    CHECK(result == 0);
    test::run_all(other);
    test::run_all(context);
    CHECK(result == 1);
    CHECK(refused);
    test::run_all(other);
    CHECK(calls == 1);
}

TEST_CASE("a task destroyed while the function is queued: it never runs", "[on_executor]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    auto const dropped = GENERATE(true, false);
    CAPTURE(dropped);
    int calls = 0, unwound = 0;
    bool abandoned = false;
    {
        asio::io_context other;
        {
            asio::io_context context;
            test::spawn(context, test::in_portal(how, [&] {
                            witness const w{unwound};
                            try {
                                on_executor(other, [&] { ++calls; });
                            } catch (greenback::abandoned const&) {
                                abandoned = true;
                                throw;
                            }
                        }));
            test::poll_all(context);
            CHECK(unwound == 0);
        }
        CHECK(unwound == 1);
        CHECK(greenback::stats().live == 0);
        if (!dropped)
            test::run_all(other);
    }
    CHECK(calls == 0);
    CHECK(abandoned);
}

TEST_CASE("a task destroyed while the function runs: the destroying thread waits for it", "[on_executor]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::thread_pool pool(1);
    std::promise<void> started, go_on;
    std::atomic<bool> ended = false;
    bool ended_before_frame = false;
    auto context = std::make_unique<asio::io_context>();
    struct frame {
        std::atomic<bool>& ended;
        bool& seen;
        ~frame() { seen = ended; }
    };
    test::spawn(*context, test::in_portal(how, [&] {
        frame const f{ended, ended_before_frame};
        on_executor(pool, [&] {
            started.set_value();
            go_on.get_future().wait();
            ended = true;
        });
    }));
    test::poll_all(*context);
    started.get_future().wait();
    std::thread opener([&] {
        // Most likely the other thread waits by now; if not, this test proves less, but does not fail.
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        go_on.set_value();
    });
    context.reset();
    CHECK(ended);
    CHECK(ended_before_frame);
    CHECK(greenback::stats().live == 0);
    opener.join();
    pool.join();
}

TEST_CASE("an executor that drops the function: operation_aborted", "[on_executor]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    auto other = std::make_unique<asio::io_context>();
    int calls = 0;
    std::string seen;
    test::spawn(context, test::in_portal(how, [&] {
                    try {
                        on_executor(*other, [&] { ++calls; });
                    } catch (test::system_error const& e) {
                        if (e.code() == asio::error::operation_aborted)
                            seen = e.what();
                    }
                }));
    test::poll_all(context);
    CHECK(seen.empty());
    other.reset();
    test::run_all(context);
    CHECK_THAT(seen, test::has_text("on_executor: the executor has dropped the function"));
    CHECK(calls == 0);
}

namespace {

// Refuses: by an exception, or by dropping what it gets at once; or runs it inside of execute().
class odd_executor {
public:
    enum kind { throws, throws_after, drops, runs };
    odd_executor(asio::io_context& context, kind k) : context_(&context), kind_(k) {}

    template <class F> void execute(F f) const {
        if (kind_ == throws)
            throw std::bad_alloc();
        if (kind_ == runs || kind_ == throws_after)
            f();
        if (kind_ == throws_after)
            throw std::bad_alloc();
    }
    asio::execution_context& query(asio::execution::context_t) const noexcept { return *context_; }
    static constexpr asio::execution::blocking_t query(asio::execution::blocking_t) noexcept {
        return asio::execution::blocking.never;
    }
    odd_executor require(asio::execution::blocking_t::never_t) const { return *this; }
    friend bool operator==(odd_executor const& a, odd_executor const& b) noexcept { return a.context_ == b.context_; }
    [[maybe_unused]] friend bool operator!=(odd_executor const& a, odd_executor const& b) noexcept { return !(a == b); }

private:
    asio::io_context* context_;
    kind kind_;
};

} // namespace

TEST_CASE("an executor may throw, drop the function at once, or run it at once", "[on_executor]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    int calls = 0;
    test::run_task(context, context, test::in_portal(how, [&] {
                       auto const f = [&] { return ++calls; };
                       for (int i = 0; i != 2; ++i) {
                           CHECK_THROWS_AS(on_executor(odd_executor(context, odd_executor::throws), f), std::bad_alloc);
                           CHECK_THROWS_AS(on_executor(odd_executor(context, odd_executor::drops), f),
                                           test::system_error);
                       }
                       CHECK(calls == 0);
                       CHECK(on_executor(odd_executor(context, odd_executor::runs), f) == 1);
                       CHECK(on_executor(odd_executor(context, odd_executor::throws_after), f) == 2);
                   }));
}

TEST_CASE("the end of the function races with the end of its task", "[on_executor]") {
    constexpr int rounds = test::sanitized ? 300 : 1000;
    asio::thread_pool pool(2);
    int bad = 0, ended = 0, unwound = 0;
    for (int i = 0; i != rounds; ++i) {
        std::atomic<bool> frame_is_there = false, called_without = false;
        auto context = std::make_unique<asio::io_context>();
        struct frame {
            std::atomic<bool>& there;
            int& unwound;
            ~frame() { there = false, ++unwound; }
        };
        test::spawn(*context, test::in_portal(test::kind_in_turn(i), [&] {
            frame const f{frame_is_there, unwound};
            frame_is_there = true;
            int local = 0;
            on_executor(pool, [&] {
                called_without = !frame_is_there;
                for (int n = 0; n != i % 50; ++n)
                    local += n;
            });
            ++ended;
        }));
        test::poll_all(*context);
        if (i % 3 == 0)
            std::this_thread::yield();
        if (i % 2 == 0)
            test::poll_all(*context);
        context.reset();
        bad += called_without;
    }
    pool.join();
    CHECK(bad == 0);
    CHECK(unwound == rounds);
    CHECK(ended <= rounds);
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("the pool's end races with the function", "[on_executor]") {
    constexpr int rounds = test::sanitized ? 100 : 300;
    int done = 0, calls = 0;
    for (int i = 0; i != rounds; ++i) {
        asio::io_context context;
        auto pool = std::make_unique<asio::thread_pool>(1);
        test::spawn(context, test::in_portal(test::kind_in_turn(i), [&] {
                        int called = 0;
                        try {
                            on_executor(*pool, [&] { ++called; });
                            calls += called;
                        } catch (test::system_error const&) {
                            calls += called; // none
                            ++done;
                            return;
                        }
                        ++done;
                        calls -= 1;
                    }));
        test::poll_all(context);
        pool->stop();
        pool.reset();
        test::run_all(context);
    }
    CHECK(done == rounds);
    CHECK(calls == 0);
}
