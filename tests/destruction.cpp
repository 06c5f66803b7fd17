// SPDX-License-Identifier: MIT

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/event_loop.hpp"
#include "support/every_kind.hpp"
#include "support/sanitizers.hpp"
#include "support/tasks.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <ostream>
#include <streambuf>
#include <string>
#include <thread>
#include <vector>

using greenback::abandoned;
using greenback::await_;
using greenback::has_portal;
using namespace asio::experimental::awaitable_operators;
using namespace test;

namespace {

/// Appends its name to a record when it is destroyed.
class recorder {
public:
    recorder(std::string& record, char const* name) : record_(&record), name_(name) {}
    recorder(recorder&& other) noexcept : record_(std::exchange(other.record_, nullptr)), name_(other.name_) {}
    ~recorder() {
        if (record_)
            *record_ += std::string(name_) + ' ';
    }

private:
    std::string* record_;
    char const* name_;
};

template <class F> struct at_scope_exit {
    F f;
    ~at_scope_exit() { f(); }
};
template <class F> at_scope_exit(F) -> at_scope_exit<F>;

/// A task in a portal of the given kind, brought to where it waits, and then destroyed with its io_context.
template <class F> void destroy_while_it_waits(made_by how, F f) {
    auto context = std::make_unique<asio::io_context>(1);
    spawn(*context, in_portal(how, std::move(f)));
    poll_all(*context);
    CHECK_FALSE(context->stopped()); // it waits
    context.reset();
    CHECK(std::uncaught_exceptions() == 0);
    CHECK_FALSE(has_portal());
}

asio::awaitable<void> coroutine_level(std::string& record, int level);

void synchronous_level(std::string& record, int level) {
    char const* names[] = {"s0", "s1", "s2", "s3"};
    recorder r(record, names[level]);
    if (level == 3)
        await_(forever());
    else
        await_(coroutine_level(record, level + 1));
}

asio::awaitable<void> coroutine_level(std::string& record, int level) {
    char const* names[] = {"c0", "c1", "c2", "c3"};
    recorder r(record, names[level]);
    if (level % 2 == 0)
        co_await yield_now();
    synchronous_level(record, level);
}

} // namespace

TEST_CASE("a portal's awaitable that is never awaited destroys the function and its arguments", "[destruction]") {
    std::string record;
    {
        auto a = greenback::with_portal_run_sync([r = recorder(record, "f")](recorder) {}, recorder(record, "x"));
        auto b = greenback::with_portal_run([r = recorder(record, "g")](recorder) { return forever(); },
                                            recorder(record, "y"));
        auto c = greenback::bestow_portal(coroutine_that_calls([r = recorder(record, "h")] {}));
        auto d = greenback::ensure_portal();
        greenback::portal p;
        auto e = p.run([r = recorder(record, "i")] {});
        CHECK(record.empty());
    }
    CHECK(record.size() == 12);
    for (char const* name : {"f", "x", "g", "y", "h", "i"})
        CHECK(record.find(name) != std::string::npos);
}

TEST_CASE("a task with a portal that was spawned, but never started, is destroyed with its context", "[destruction]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    std::string record;
    bool ran = false;
    {
        asio::io_context context(1);
        spawn(context, in_portal(how, [&, r = recorder(record, "f")] { ran = true; }));
        CHECK(record.empty());
    }
    CHECK(record == "f ");
    CHECK_FALSE(ran);
}

TEST_CASE("await_ throws abandoned when the task is destroyed, and destructors run innermost first", "[destruction]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    std::string record;
    bool caught = false;

    SECTION("in await_ of a coroutine") {
        auto wait = [&]() -> asio::awaitable<void> {
            recorder r(record, "coroutine");
            co_await forever();
        };
        destroy_while_it_waits(how, [&] {
            recorder outer(record, "outer");
            try {
                recorder inner(record, "inner");
                await_(wait());
            } catch (abandoned const&) {
                caught = true;
                throw;
            }
        });
        CHECK(record == "coroutine inner outer ");
    }
    SECTION("in an operation") {
        destroy_while_it_waits(how, [&] {
            recorder outer(record, "outer");
            asio::steady_timer timer(await_(asio::this_coro::executor), asio::steady_timer::time_point::max());
            try {
                recorder inner(record, "inner");
                timer.async_wait(greenback::use_portal);
            } catch (abandoned const&) {
                caught = true;
                throw;
            }
        });
        CHECK(record == "inner outer ");
    }
    SECTION("in a deferred operation") {
        destroy_while_it_waits(how, [&] {
            recorder outer(record, "outer");
            asio::steady_timer timer(await_(asio::this_coro::executor), asio::steady_timer::time_point::max());
            try {
                recorder inner(record, "inner");
                await_(timer.async_wait(deferred));
            } catch (abandoned const&) {
                caught = true;
                throw;
            }
        });
        CHECK(record == "inner outer ");
    }
    SECTION("in an await_ of a coroutine run by await_") {
        auto middle = [&]() -> asio::awaitable<void> {
            recorder r(record, "middle");
            co_await yield_now();
            [&] {
                recorder inner(record, "inner");
                await_(forever());
            }();
        };
        destroy_while_it_waits(how, [&] {
            recorder outer(record, "outer");
            try {
                await_(middle());
            } catch (abandoned const&) {
                caught = true;
                throw;
            }
        });
        CHECK(record == "inner middle outer ");
    }
    SECTION("in three coroutines with synchronous code between them") {
        destroy_while_it_waits(how, [&] {
            try {
                synchronous_level(record, 0);
            } catch (abandoned const&) {
                caught = true;
                throw;
            }
        });
        CHECK(record == "s3 c3 s2 c2 s1 c1 s0 ");
    }
    CHECK(caught);
}

TEST_CASE("a task in every kind of portal is destroyed wherever it waits", "[destruction]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    bool const waited_before = GENERATE(false, true);
    CAPTURE(waited_before);
    std::string record;
    auto context = std::make_unique<asio::io_context>(1);

    SECTION("in a co_await after the portal's function has ended") {
        auto task = [&]() -> asio::awaitable<void> {
            recorder r(record, "task");
            co_await in_portal(how, [&] { await_(yield_if(waited_before)); });
            co_await forever();
        };
        spawn(*context, task());
        poll_all(*context);
    }
    SECTION("in a co_await of the coroutine that has the portal") {
        auto task = [&]() -> asio::awaitable<void> {
            recorder outer(record, "task");
            auto own = [&]() -> asio::awaitable<void> {
                recorder r(record, "own");
                await_(yield_if(waited_before));
                co_await forever();
            };
            if (how == made_by::with_portal_run) {
                co_await greenback::with_portal_run(own);
            } else if (how == made_by::bestow_portal) {
                co_await greenback::bestow_portal(own());
            } else {
                co_await greenback::ensure_portal();
                co_await own();
            }
        };
        spawn(*context, task());
        poll_all(*context);
        context.reset();
        CHECK(record == "own task ");
    }
    SECTION("as an operand of ||, while the other waits too") {
        auto task = [&]() -> asio::awaitable<void> {
            recorder r(record, "task");
            auto wait = [&] {
                await_(yield_if(waited_before));
                await_(forever());
            };
            co_await (in_portal(how, wait) || in_portal(how, wait));
        };
        spawn(*context, task());
        poll_all(*context);
    }
    SECTION("after another thread's stop()") {
        auto task = [&]() -> asio::awaitable<void> {
            recorder r(record, "task");
            co_await in_portal(how, [&] {
                for (;;)
                    await_(yield_now());
            });
        };
        spawn(*context, task());
        asio::post(*context, [&] { asio::post(*context, [&] { context->stop(); }); });
        run_all(*context);
    }
    context.reset();
    CHECK(record.ends_with("task "));
}

TEST_CASE("a portal whose abandoned is swallowed throws it again at every await_ and may return", "[destruction]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    int thrown = 0;

    SECTION("once") {
        destroy_while_it_waits(how, [&] {
            try {
                await_(forever());
            } catch (...) {
                ++thrown;
            }
            try {
                await_(yield_now());
            } catch (abandoned const&) {
                ++thrown;
            }
        });
        CHECK(thrown == 2);
    }
    SECTION("in a loop, with every kind of await") {
        destroy_while_it_waits(how, [&] {
            asio::steady_timer timer(await_(asio::this_coro::executor));
            for (int i = 0; i != 40; ++i) {
                try {
                    switch (i % 5) {
                    case 0: await_(forever()); break;
                    case 1: await_(value_of(1, false)); break;
                    case 2: timer.async_wait(greenback::use_portal); break;
                    case 3: await_(timer.async_wait(deferred)); break;
                    case 4: await_(asio::this_coro::executor); break;
                    }
                    FAIL_CHECK("awaited in a task that is being destroyed");
                } catch (...) {
                    ++thrown;
                }
            }
        });
        CHECK(thrown == 40);
    }
    SECTION("inside a coroutine that await_ runs") {
        auto swallow = [&]() -> asio::awaitable<int> {
            try {
                [] { await_(forever()); }();
            } catch (abandoned const&) {
                ++thrown;
            }
            co_return 1;
        };
        destroy_while_it_waits(how, [&] {
            try {
                await_(swallow());
                FAIL_CHECK("went on in a task that is being destroyed");
            } catch (abandoned const&) {
                ++thrown;
            }
        });
        CHECK(thrown == 2);
    }
}

TEST_CASE("an awaitable refused because the task is being destroyed is destroyed unrun", "[destruction]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    std::string record;
    bool ran = false;
    auto refused = [&](recorder) -> asio::awaitable<void> {
        ran = true;
        co_return;
    };
    destroy_while_it_waits(how, [&] {
        try {
            await_(forever());
        } catch (abandoned const&) {
            CHECK_THROWS_AS(await_(refused(recorder(record, "argument"))), abandoned);
            record += "after ";
            throw;
        }
    });
    CHECK(record == "argument after ");
    CHECK_FALSE(ran);
}

TEST_CASE("abandoned that an ostream swallows does not keep the task alive", "[destruction]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    struct awaiting_streambuf : std::streambuf {
        int writes = 0, refused = 0;
        int_type overflow(int_type c) override {
            ++writes;
            try {
                await_(writes < 3 ? yield_now() : forever());
            } catch (abandoned const&) {
                ++refused;
                throw;
            }
            return c;
        }
    } buffer;
    bool bad = false;
    destroy_while_it_waits(how, [&] {
        std::ostream out(&buffer);
        out << "abcde" << 12345;
        bad = out.bad();
        out.clear();
        out << 'x';
    });
    CHECK(bad);
    CHECK(buffer.refused >= 2);
}

TEST_CASE("a destructor may ask has_portal, and is told no while the task is being destroyed", "[destruction]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    std::vector<bool> answers;
    int awaited = 0;
    auto ask = [&] {
        answers.push_back(has_portal());
        if (answers.back()) {
            await_(yield_now());
            ++awaited;
        }
    };
    auto coroutine = [&]() -> asio::awaitable<void> {
        at_scope_exit guard{ask};
        co_await forever();
    };
    destroy_while_it_waits(how, [&] {
        {
            at_scope_exit guard{ask};
        } // not being destroyed yet
        at_scope_exit outer{ask};
        try {
            at_scope_exit inner{ask};
            await_(coroutine());
        } catch (...) {
            ask();
        }
    });
    CHECK(awaited == 1);
    CHECK(answers == std::vector<bool>{true, false, false, false, false});
}

TEST_CASE("destructors may spawn, post and start timers while the task is being destroyed", "[destruction]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    std::string record;
    bool ran = false;
    struct starter {
        starter(asio::any_io_executor ex, std::string& to, bool& flag)
            : executor(ex), record(to), ran(flag), timer(std::make_shared<asio::steady_timer>(ex)) {}
        asio::any_io_executor executor;
        std::string& record;
        bool& ran;
        std::shared_ptr<asio::steady_timer> timer;
        ~starter() {
            asio::post(executor, [&ran = ran, r = recorder(record, "posted")] { ran = true; });
            timer->expires_after(std::chrono::hours(1));
            timer->async_wait([t = timer, &ran = ran, r = recorder(record, "timer")](error_code) { ran = true; });
            asio::co_spawn(
                executor,
                in_portal(made_by::with_portal_run_sync, [&ran = ran, r = recorder(record, "task")] { ran = true; }),
                asio::detached);
        }
    };
    auto coroutine = [&]() -> asio::awaitable<void> {
        starter s(co_await asio::this_coro::executor, record, ran);
        co_await forever();
    };
    destroy_while_it_waits(how, [&] {
        starter s(await_(asio::this_coro::executor), record, ran);
        await_(coroutine());
    });
    CHECK_FALSE(ran);
    CHECK(record.size() == 2 * std::string("posted timer task ").size());
}

TEST_CASE("a coroutine on the fiber that catches abandoned can't await any more", "[destruction]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    bool const after_reset = GENERATE(false, true);
    bool const waits = GENERATE(false, true);
    CAPTURE(after_reset, waits);
    int refused = 0, went_on = 0;
    auto stubborn = [&]() -> asio::awaitable<void> {
        co_await yield_now();
        if (after_reset)
            co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
        bool caught = false;
        try {
            [] { await_(forever()); }();
        } catch (abandoned const&) {
            caught = true;
        }
        CHECK(caught);
        for (int i = 0; i != 3; ++i) {
            try {
                co_await yield_if(waits);
                ++went_on;
            } catch (system_error const& e) {
                CHECK(e.code() == asio::error::operation_aborted);
                ++refused;
            }
        }
    };
    destroy_while_it_waits(how, [&] { await_(stubborn()); });
    CHECK(refused == 3);
    CHECK(went_on == 0);
}

TEST_CASE("a coroutine on the fiber that resets its cancellation after abandoned does not go on either",
          "[destruction]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    std::string record;
    bool went_on = false;
    auto stubborn = [&]() -> asio::awaitable<void> {
        recorder r(record, "coroutine");
        bool caught = false;
        try {
            [] { await_(forever()); }();
        } catch (abandoned const&) {
            caught = true;
        }
        CHECK(caught);
        try {
            co_await asio::this_coro::throw_if_cancelled(false);
            co_await asio::this_coro::reset_cancellation_state();
        } catch (...) {
        }
        co_await yield_now();
        went_on = true;
    };
    destroy_while_it_waits(how, [&] {
        recorder r(record, "function");
        await_(stubborn());
    });
    CHECK(record == "coroutine function ");
    CHECK_FALSE(went_on);
}

TEST_CASE("a thread_pool is destroyed with many suspended portals", "[destruction]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    constexpr int count = sanitized ? 200 : 1000;
    std::atomic<int> waiting{0}, unwound{0}, abandonments{0};
    {
        asio::thread_pool pool(4);
        for (int i = 0; i != count; ++i) {
            asio::co_spawn(pool,
                           in_portal(how,
                                     [&, i] {
                                         at_scope_exit guard{[&] { ++unwound; }};
                                         await_(yield_if(i % 2 != 0));
                                         ++waiting;
                                         try {
                                             await_(forever());
                                         } catch (abandoned const&) {
                                             ++abandonments;
                                             throw;
                                         }
                                     }),
                           asio::detached);
        }
        while (waiting != count)
            std::this_thread::yield();
        pool.stop();
        pool.join();
        CHECK(unwound == 0);
    }
    CHECK(unwound == count);
    CHECK(abandonments == count);
}

TEST_CASE("a fiber that was unwound is used again", "[destruction]") {
    for (int i = 0; i != 20; ++i) {
        bool done = false;
        destroy_while_it_waits(made_by::with_portal_run_sync, [] { await_(forever()); });
        run_task(greenback::with_portal_run_sync([&] {
            await_(yield_now());
            done = true;
        }));
        CHECK(done);
    }
}

TEST_CASE("an operation that is put together by code which is being abandoned is not started", "[destruction]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    bool threw = false, went_on = false;
    {
        asio::io_context context;
        test::spawn(context, in_portal(how, [&] {
                        asio::steady_timer timer(await_(asio::this_coro::executor),
                                                 asio::steady_timer::time_point::max());
                        try {
                            await_([&](auto token) {
                                try {
                                    await_(forever());
                                } catch (greenback::abandoned const&) { // swallowed: the next await says it again
                                }
                                return timer.async_wait(std::move(token));
                            });
                            went_on = true;
                        } catch (greenback::abandoned const&) {
                            threw = true;
                            throw;
                        }
                    }));
        poll_all(context);
    }
    CHECK(threw);
    CHECK_FALSE(went_on);
    CHECK(greenback::stats().live == 0);
}
