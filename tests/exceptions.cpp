// SPDX-License-Identifier: MIT

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/event_loop.hpp"
#include "support/every_kind.hpp"
#include "support/sanitizers.hpp"
#include "support/tasks.hpp"

#include <atomic>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using greenback::await_;
using namespace test;

namespace {

/// Not a std::exception, and told apart by its value.
struct thrown {
    int value;
};

/// Its copies can't be confused with it.
struct identified {
    identified const* self = this;
    identified() = default;
    identified(identified const&) : self(this) {}
};

/// The value of the `thrown` being handled; -1 if it is none, -2 if nothing is handled.
int handled_now() {
    if (!std::current_exception())
        return -2;
    try {
        throw;
    } catch (thrown const& e) {
        return e.value;
    } catch (...) {
        return -1;
    }
}

/// Runs a function at the end of its scope, during unwinding or not.
template <class F> struct at_scope_exit {
    F f;
    ~at_scope_exit() { f(); }
};
template <class F> at_scope_exit(F) -> at_scope_exit<F>;

/// n levels of coroutine and synchronous code, then a throw, before or after a suspension.
void sync_levels(int n, bool suspend, std::exception_ptr& original);

asio::awaitable<void> async_levels(int n, bool suspend, std::exception_ptr& original) {
    if (n % 3 == 0)
        co_await yield_if(suspend);
    if (n % 2 == 0)
        sync_levels(n - 1, suspend, original); // on the fiber already
    else
        co_await greenback::with_portal_run_sync(sync_levels, n - 1, suspend, std::ref(original));
}

void sync_levels(int n, bool suspend, std::exception_ptr& original) {
    if (n > 0)
        return await_(async_levels(n, suspend, original));
    await_(yield_if(suspend));
    try {
        throw identified();
    } catch (...) {
        original = std::current_exception();
        throw;
    }
}

} // namespace

TEST_CASE("an exception of an awaited coroutine is caught by the synchronous code as what it is", "[exceptions]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    bool const suspend = GENERATE(false, true);
    CAPTURE(suspend);
    run_task(in_portal(how, [suspend] {
        CHECK_THROWS_AS(await_(throwing(std::out_of_range("x"), suspend)), std::out_of_range);
        CHECK_THROWS_AS(await_(throwing(thrown{1}, suspend)), thrown);
        CHECK_THROWS_AS(await_(throwing(7, suspend)), int);
        CHECK_THROWS_AS(await_(throwing(std::make_unique<int>(3), suspend)), std::unique_ptr<int>);
        CHECK(std::uncaught_exceptions() == 0);
        CHECK(handled_now() == -2);
    }));
}

TEST_CASE("an exception of the synchronous code leaves the portal as what it is", "[exceptions]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    bool const suspend = GENERATE(false, true);
    CAPTURE(suspend);
    auto f = [suspend] {
        await_(yield_if(suspend));
        throw thrown{5};
    };
    auto task = [&]() -> asio::awaitable<void> {
        int caught = 0;
        try {
            co_await in_portal(how, f);
        } catch (thrown const& e) {
            caught = e.value;
        }
        CHECK(caught == 5);
        CHECK(handled_now() == -2);
        co_await yield_now();
        CHECK(std::uncaught_exceptions() == 0);
    };
    run_task(task());
    CHECK_THROWS_AS(run_task(in_portal(how, f)), thrown);
}

TEST_CASE("one exception object passes through many levels of coroutines and synchronous code", "[exceptions]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    bool const suspend = GENERATE(false, true);
    int const levels = GENERATE(1, 2, 7, 24);
    CAPTURE(suspend, levels);
    std::exception_ptr original;
    identified const* seen = nullptr;
    try {
        run_task(in_portal(how, [&] { sync_levels(levels, suspend, original); }));
    } catch (identified const& e) {
        seen = e.self;
        CHECK(e.self == &e);
        CHECK(std::current_exception() == original);
    }
    CHECK(seen != nullptr);
}

TEST_CASE("a bare throw after await_ rethrows the exception of its own portal", "[exceptions]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    bool const suspend = GENERATE(false, true);
    CAPTURE(suspend);
    run_task(in_portal(how, [suspend] {
        auto rethrows = [suspend] {
            try {
                throw thrown{11};
            } catch (...) {
                await_(yield_if(suspend));
                CHECK(handled_now() == 11);
                CHECK_THROWS_AS(await_(throwing(thrown{12}, suspend)), thrown); // caught here: 11 is handled again
                CHECK(handled_now() == 11);
                throw;
            }
        };
        int caught = 0;
        try {
            rethrows();
        } catch (thrown const& e) {
            caught = e.value;
        }
        CHECK(caught == 11);
        CHECK(handled_now() == -2);
    }));
}

TEST_CASE("tasks that wait in catch blocks, and leave them in any order, keep their own exceptions", "[exceptions]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    constexpr int count = 6;
    asio::io_context context(1);
    std::vector<std::unique_ptr<gate>> gates;
    std::vector<int> caught(count, 0);
    for (int i = 0; i != count; ++i) {
        gates.push_back(std::make_unique<gate>(context));
        spawn(context, in_portal(how, [&, i] {
                  try {
                      try {
                          throw thrown{i};
                      } catch (...) {
                          await_(gates[static_cast<std::size_t>(i)]->wait());
                          throw;
                      }
                  } catch (thrown const& e) {
                      caught[static_cast<std::size_t>(i)] = 100 + e.value;
                  }
              }));
    }
    poll_all(context);
    CHECK(handled_now() == -2);
    for (int i : {3, 0, 5, 1, 2, 4}) {
        gates[static_cast<std::size_t>(i)]->open();
        poll_all(context);
        CHECK(caught[static_cast<std::size_t>(i)] == 100 + i);
    }
    run_all(context);
    CHECK(handled_now() == -2);
    CHECK(std::uncaught_exceptions() == 0);
}

TEST_CASE("nested catch blocks that each await are left one by one", "[exceptions]") {
    bool const suspend = GENERATE(false, true);
    run_task(greenback::with_portal_run_sync([suspend] {
        std::string order;
        auto note = [&order, suspend] {
            await_(yield_if(suspend));
            order += std::to_string(handled_now()) + ' ';
        };
        try {
            try {
                try {
                    throw thrown{1};
                } catch (...) {
                    note();
                    try {
                        throw thrown{2};
                    } catch (...) {
                        note();
                        try {
                            throw thrown{3};
                        } catch (...) {
                            note();
                        }
                        note();
                        await_(yield_if(suspend));
                        throw;
                    }
                }
            } catch (thrown const&) {
                note();
                throw thrown{4};
            }
        } catch (...) {
            note();
        }
        order += std::to_string(handled_now());
        CHECK(order == "1 2 3 2 2 4 -2");
    }));
}

TEST_CASE("a coroutine awaited inside a catch block sees neither the exception nor the unwinding", "[exceptions]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    bool const suspend = GENERATE(false, true);
    CAPTURE(suspend);
    struct seen {
        int handled = 0, uncaught = -1;
    };
    auto look = [](seen& before, seen& after, bool wait) -> asio::awaitable<void> {
        before = {handled_now(), std::uncaught_exceptions()};
        co_await yield_if(wait);
        after = {handled_now(), std::uncaught_exceptions()};
    };
    seen s[4];
    run_task(in_portal(how, [&] {
        try {
            at_scope_exit guard{[&] {
                CHECK(std::uncaught_exceptions() == 1);
                await_(look(s[0], s[1], suspend));
                CHECK(std::uncaught_exceptions() == 1);
            }};
            throw thrown{1};
        } catch (thrown const&) {
            await_(look(s[2], s[3], suspend));
            CHECK(handled_now() == 1);
        }
    }));
    for (seen const& x : s) {
        CHECK(x.handled == -2);
        CHECK(x.uncaught == 0);
    }
}

TEST_CASE("a destructor may await while an exception unwinds the stack", "[exceptions]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    bool const suspend = GENERATE(false, true);
    CAPTURE(suspend);
    asio::io_context context(1);
    int ended = 0;
    for (int i = 0; i != 3; ++i) { // suspended at the same time
        spawn(context, in_portal(how, [&, i] {
                  try {
                      at_scope_exit outer{[&] {
                          CHECK(std::uncaught_exceptions() == 1);
                          await_(yield_if(suspend));
                          CHECK(std::uncaught_exceptions() == 1);
                      }};
                      at_scope_exit inner{[&] {
                          CHECK(std::uncaught_exceptions() == 1);
                          CHECK_THROWS_AS(await_(throwing(std::string("inside"), suspend)), std::string);
                          CHECK(std::uncaught_exceptions() == 1);
                      }};
                      throw thrown{i};
                  } catch (thrown const& e) {
                      CHECK(e.value == i);
                      CHECK(std::uncaught_exceptions() == 0);
                      ++ended;
                  }
              }));
    }
    run_all(context);
    CHECK(ended == 3);
}

TEST_CASE("an exception captured before await_ is rethrown after it", "[exceptions]") {
    run_task(greenback::with_portal_run_sync([] {
        std::exception_ptr kept;
        try {
            throw thrown{21};
        } catch (...) {
            kept = std::current_exception();
        }
        await_(yield_now());
        CHECK_THROWS_AS(std::rethrow_exception(kept), thrown);
        try {
            std::rethrow_exception(kept);
        } catch (thrown const& e) {
            await_(yield_now());
            CHECK(e.value == 21);
            CHECK(std::current_exception() == kept);
        }
    }));
}

TEST_CASE("noexcept code may await what succeeds", "[exceptions]") {
    bool const suspend = GENERATE(false, true);
    auto f = [suspend]() noexcept { return await_(value_of(4, suspend)); };
    CHECK(run_task(greenback::with_portal_run_sync(f)) == 4);
}

TEST_CASE("what a task throws and catches around its portal stays out of the portal", "[exceptions]") {
    auto task = []() -> asio::awaitable<void> {
        std::exception_ptr error;
        for (int i = 0; i != 3; ++i) {
            try {
                co_await greenback::with_portal_run_sync([i] {
                    CHECK(handled_now() == -2);
                    await_(yield_now());
                    throw thrown{i};
                });
            } catch (...) {
                CHECK(handled_now() == i);
                error = std::current_exception();
            }
            co_await yield_now();
        }
        CHECK_THROWS_AS(std::rethrow_exception(error), thrown);
    };
    run_task(task());
}

TEST_CASE("an event loop driven from inside a catch block shows its tasks none of it", "[exceptions]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    int const turns = GENERATE(0, 1, 2, 1000); // how much of it runs inside; the rest runs after
    CAPTURE(turns);
    asio::io_context context(1);
    int ended = 0;
    for (int i = 0; i != 2; ++i) {
        spawn(context, in_portal(how, [&, i] {
                  await_(yield_now());
                  try {
                      throw thrown{i};
                  } catch (...) {
                      await_(yield_now());
                      CHECK(handled_now() == i);
                  }
                  await_(yield_now());
                  CHECK(std::uncaught_exceptions() == 0);
                  ++ended;
              }));
    }
    int rethrown = 0;
    try {
        try {
            throw thrown{77};
        } catch (...) {
            for (int i = 0; i != turns; ++i)
                context.poll_one();
            CHECK(handled_now() == 77);
            throw;
        }
    } catch (thrown const& e) {
        rethrown = e.value;
        run_all(context);
        CHECK(handled_now() == 77);
    }
    CHECK(rethrown == 77);
    CHECK(ended == 2);
    CHECK(handled_now() == -2);
}

TEST_CASE("a portal started inside a catch block of main sees no exception of main's", "[exceptions]") {
    int seen[2] = {0, 0};
    bool same = false;
    try {
        throw thrown{78};
    } catch (...) {
        std::exception_ptr const mine = std::current_exception();
        run_task(greenback::with_portal_run_sync([&] {
            seen[0] = handled_now();
            await_(yield_now());
            seen[1] = handled_now();
        }));
        same = std::current_exception() == mine;
    }
    CHECK(same);
    CHECK(seen[0] == -2);
    CHECK(seen[1] == -2);
}

TEST_CASE("an event loop driven from a scope guard during unwinding shows its tasks none of it", "[exceptions]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context(1);
    int uncaught_inside = -1, uncaught_later = -1;
    bool swallowed = false;
    spawn(context, in_portal(how, [&] {
              uncaught_inside = std::uncaught_exceptions();
              await_(yield_now());
              try {
                  throw thrown{1};
              } catch (thrown const&) {
                  await_(yield_now());
                  swallowed = handled_now() == 1;
              }
              uncaught_later = std::uncaught_exceptions();
          }));
    int caught = 0;
    try {
        at_scope_exit guard{[&] {
            CHECK(std::uncaught_exceptions() == 1);
            run_all(context);
            CHECK(std::uncaught_exceptions() == 1);
        }};
        throw thrown{79};
    } catch (thrown const& e) {
        caught = e.value;
    }
    CHECK(caught == 79);
    CHECK(swallowed);
    CHECK(uncaught_inside == 0);
    CHECK(uncaught_later == 0);
    CHECK(std::uncaught_exceptions() == 0);
}

TEST_CASE("a portal that waits in a catch block is destroyed while another exception is handled", "[exceptions]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    int handled_at_end = 0, uncaught_at_end = -1;
    auto context = std::make_unique<asio::io_context>(1);
    spawn(*context, in_portal(how, [&] {
        at_scope_exit guard{[&] {
            handled_at_end = handled_now();
            uncaught_at_end = std::uncaught_exceptions();
        }};
        try {
            throw thrown{1};
        } catch (...) {
            await_(forever());
        }
    }));
    poll_all(*context);
    try {
        throw thrown{80};
    } catch (...) {
        context.reset();
        CHECK(handled_now() == 80);
    }
    CHECK(handled_at_end == -2); // the catch block has been left, by `abandoned`
    CHECK(uncaught_at_end == 1);
    CHECK(handled_now() == -2);
    CHECK(std::uncaught_exceptions() == 0);
}

namespace {

/// Throws, catches and awaits at every level of a recursion, and reports whether an exception was ever not its own.
int storm(int level, int seed) {
    if (level == 0)
        return 0;
    int wrong = 0;
    try {
        try {
            at_scope_exit guard{[&] { await_(yield_now()); }};
            throw thrown{seed + level};
        } catch (thrown const&) {
            wrong += storm(level - 1, seed);
            await_(yield_now());
            throw;
        }
    } catch (thrown const& e) {
        wrong += e.value != seed + level;
        await_(yield_now());
        wrong += e.value != seed + level;
    }
    try {
        await_(throwing(thrown{-seed}, true));
        ++wrong;
    } catch (thrown const& e) {
        wrong += e.value != -seed;
    }
    return wrong;
}

} // namespace

TEST_CASE("portals that throw and catch across awaits on many threads keep their exceptions apart", "[exceptions]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    constexpr int tasks = sanitized ? 30 : 150;
    constexpr int rounds = sanitized ? 3 : 10;
    std::atomic<int> wrong{0}, ended{0}, escaped{0};
    {
        asio::thread_pool pool(8);
        for (int i = 0; i != tasks; ++i) {
            asio::co_spawn(pool,
                           in_portal(how,
                                     [&, i] {
                                         for (int round = 0; round != rounds; ++round)
                                             wrong += storm(4, 1000 * (i + 1) + 10 * round);
                                         ++ended;
                                     }),
                           [&](std::exception_ptr e) { escaped += e != nullptr; });
        }
        pool.join();
    }
    CHECK(wrong == 0);
    CHECK(escaped == 0);
    CHECK(ended == tasks);
}
