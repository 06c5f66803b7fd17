// SPDX-License-Identifier: MIT

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/event_loop.hpp"
#include "support/every_kind.hpp"
#include "support/sanitizers.hpp"
#include "support/tasks.hpp"

#include <greenback/stack.hpp>

#include <boost/context/fixedsize_stack.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <numeric>
#include <random>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#if defined(__GLIBC__)
#include <unwind.h>
#endif

using greenback::await_;
using greenback::has_portal;
using greenback::with_portal_run_sync;
using namespace test;

namespace {

#if defined(__GLIBC__)
/// How many calls lie between the innermost code and the beginning of the portal's stack, this function's own included.
[[gnu::noinline]] int depth_of_stack() {
    struct search {
        greenback::detail::fiber const& on;
        int depth;
    } found{greenback::detail::raw_current_portal()->own_fiber(), 0};
    _Unwind_Backtrace(
        [](_Unwind_Context* context, void* to) {
            auto& s = *static_cast<search*>(to);
            if (!s.on.holds(reinterpret_cast<void*>(_Unwind_GetCFA(context))))
                return _URC_END_OF_STACK;
            ++s.depth;
            return _URC_NO_REASON;
        },
        &found);
    return found.depth;
}
#endif

/// A stack allocator that counts, and can be told to fail.
struct counters {
    int allocated = 0, deallocated = 0, failures_left = 0;
    std::uintptr_t low = 0, high = 0; // of the last stack
};
class counting_stack {
public:
    explicit counting_stack(counters& c) : counters_(&c), inner_(128 * 1024) {}
    boost::context::stack_context allocate() {
        if (counters_->failures_left > 0) {
            --counters_->failures_left;
            throw std::bad_alloc();
        }
        boost::context::stack_context s = inner_.allocate();
        ++counters_->allocated;
        counters_->high = reinterpret_cast<std::uintptr_t>(s.sp);
        counters_->low = counters_->high - s.size;
        return s;
    }
    void deallocate(boost::context::stack_context& s) noexcept {
        ++counters_->deallocated;
        inner_.deallocate(s);
    }

private:
    counters* counters_;
    boost::context::fixedsize_stack inner_;
};

#if defined(__GNUC__)
[[gnu::noinline]]
#endif
std::uintptr_t stack_position() {
    return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
}

/// Counts its copies.
struct copy_counter {
    int* copies;
    explicit copy_counter(int& n) : copies(&n) {}
    copy_counter(copy_counter const& other) : copies(other.copies) { ++*copies; }
    copy_counter(copy_counter&&) = default;
};

struct calculator {
    int base = 0;
    int add(int x) {
        await_(yield_now());
        return base + x;
    }
};

struct no_default {
    explicit no_default(int v) : value(v) {}
    int value;
};

} // namespace

TEST_CASE("with_portal_run_sync decay-copies the function and its arguments when it is called", "[portal]") {
    int copies = 0;
    copy_counter counted(copies);
    std::string text = "before";
    char const array[] = "array";
    auto task = with_portal_run_sync(
        [](copy_counter, std::string s, char const* a, std::string& r) {
            r += '!';
            await_(yield_now());
            return s + ' ' + a;
        },
        counted, text, array, std::ref(text));
    CHECK(copies == 1);
    text = "after";
    CHECK(run_task(std::move(task)) == "before array");
    CHECK(text == "after!");
    CHECK(copies == 1);
}

TEST_CASE("a generic function is not looked into for a call with lvalues", "[portal]") {
    auto const take = [](std::unique_ptr<int> p) { return *p; };
    auto const forward = [take](auto&& p) { return take(std::forward<decltype(p)>(p)); }; // no lvalue compiles
    CHECK(run_task(greenback::with_portal_run_sync(forward, std::make_unique<int>(1))) == 1);
    CHECK(run_task(greenback::portal().run(forward, std::make_unique<int>(2))) == 2);
    auto const coroutine = [take](auto&& p) -> asio::awaitable<int> {
        co_return take(std::forward<decltype(p)>(p)); // awaited while the argument lives
    };
    CHECK(run_task(greenback::with_portal_run(coroutine, std::make_unique<int>(3))) == 3);
}

TEST_CASE("functions, arguments and results may be move-only, and results without a default", "[portal]") {
    auto p = run_task(with_portal_run_sync(
        [own = std::make_unique<int>(1)](std::unique_ptr<int> x) {
            await_(yield_now());
            *x += *own;
            return x;
        },
        std::make_unique<int>(2)));
    CHECK(*p == 3);
    CHECK(run_task(with_portal_run_sync([] { return no_default(4); })).value == 4);
    greenback::portal reusable;
    CHECK(run_task(reusable.run([](std::unique_ptr<no_default> x) { return std::move(*x); },
                                std::make_unique<no_default>(5)))
              .value == 5);
}

TEST_CASE("members are invoked, and results decay", "[portal]") {
    calculator c{10};
    CHECK(run_task(with_portal_run_sync(&calculator::add, &c, 1)) == 11);
    CHECK(run_task(with_portal_run_sync(&calculator::add, std::ref(c), 2)) == 12);
    CHECK(run_task(with_portal_run_sync(&calculator::add, c, 3)) == 13);
    CHECK(run_task(with_portal_run_sync(&calculator::base, &c)) == 10);
    auto by_reference = with_portal_run_sync([&]() -> calculator& { return c; });
    static_assert(std::is_same_v<decltype(by_reference), asio::awaitable<calculator>>);
    CHECK(run_task(std::move(by_reference)).base == 10);
    auto by_const = with_portal_run_sync([&]() -> int const& { return c.base; });
    static_assert(std::is_same_v<decltype(by_const), asio::awaitable<int>>);
    CHECK(run_task(std::move(by_const)) == 10);
}

TEST_CASE("with_portal_run_sync where this task has a portal calls the function on its stack", "[portal]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    bool const suspend = GENERATE(false, true);
    CAPTURE(suspend);
    run_task(in_portal(how, [suspend] {
        counters c;
        std::uintptr_t const here = stack_position();
        std::uintptr_t there = 0;
        auto nested = [&] {
            there = stack_position();
            CHECK(has_portal());
            await_(yield_if(suspend));
            CHECK(await_(with_portal_run_sync([&] { return await_(value_of(1, suspend)); })) == 1);
            return 2;
        };
        CHECK(await_(with_portal_run_sync(nested)) == 2);
        CHECK(there < here);
        CHECK(here - there < 64 * 1024);
        CHECK(await_(with_portal_run_sync(std::allocator_arg, counting_stack(c), nested)) == 2);
        CHECK(there < here);
        CHECK(here - there < 64 * 1024);
        CHECK(c.allocated == 0); // its stack was not needed
        CHECK(has_portal());
    }));
}

TEST_CASE("the function runs on a stack of the given allocator, which gets it back", "[portal]") {
    counters c;
    std::uintptr_t position = 0;
    SECTION("after it has returned") {
        bool const suspend = GENERATE(false, true);
        auto task = with_portal_run_sync(std::allocator_arg, counting_stack(c), [&] {
            position = stack_position();
            await_(yield_if(suspend));
        });
        CHECK(c.allocated == 0); // only when it starts
        run_task(std::move(task));
    }
    SECTION("after it has thrown") {
        CHECK_THROWS_AS(run_task(with_portal_run_sync(std::allocator_arg, counting_stack(c),
                                                      [&] {
                                                          position = stack_position();
                                                          await_(yield_now());
                                                          throw 1;
                                                      })),
                        int);
    }
    SECTION("after it was abandoned") {
        asio::io_context context(1);
        spawn(context, with_portal_run_sync(std::allocator_arg, counting_stack(c), [&] {
                  position = stack_position();
                  await_(forever());
              }));
        poll_all(context);
        CHECK(c.deallocated == 0);
    }
    SECTION("when a reusable portal ends") {
        {
            greenback::portal p(std::allocator_arg, counting_stack(c));
            for (int i = 0; i != 5; ++i) {
                run_task(p.run([&] {
                    position = stack_position();
                    await_(yield_now());
                }));
            }
            CHECK(c.deallocated == 0);
        }
    }
    CHECK(c.allocated == 1);
    CHECK(c.deallocated == 1);
    CHECK(position - c.low < c.high - c.low);
}

TEST_CASE("Boost.Context's stack allocators and the library's own will do", "[portal]") {
    auto f = [] {
        await_(yield_now());
        return 1;
    };
    CHECK(run_task(with_portal_run_sync(std::allocator_arg, boost::context::fixedsize_stack(256 * 1024), f)) == 1);
    boost::context::protected_fixedsize_stack named(256 * 1024);
    CHECK(run_task(with_portal_run_sync(std::allocator_arg, named, f)) == 1);
    CHECK(run_task(with_portal_run_sync(std::allocator_arg, greenback::pooled_stack(2 << 20), f)) == 1);
    greenback::portal p(std::allocator_arg, boost::context::protected_fixedsize_stack(256 * 1024));
    CHECK(run_task(p.run(f)) == 1);
}

TEST_CASE("an allocator's failure is thrown by co_await, and nothing is lost", "[portal]") {
    counters c;
    c.failures_left = 2;
    auto argument = std::make_shared<int>();
    bool ran = false;
    greenback::portal p(std::allocator_arg, counting_stack(c));
    auto task = [&]() -> asio::awaitable<void> {
        for (int i = 0; i != 3; ++i) {
            bool failed = false;
            try {
                if (i == 0)
                    co_await with_portal_run_sync(
                        std::allocator_arg, counting_stack(c), [&](std::shared_ptr<int>) { ran = true; }, argument);
                else
                    co_await p.run([&](std::shared_ptr<int>) { ran = true; }, argument);
            } catch (std::bad_alloc const&) {
                failed = true;
            }
            CHECK(failed == (i < 2));
            CHECK(ran == (i == 2));
            CHECK(argument.use_count() == 1);
            co_await yield_now();
        }
    };
    run_task(task());
    p = greenback::portal();
    CHECK(c.allocated == 1);
    CHECK(c.deallocated == 1);
}

TEST_CASE("a portal runs many functions on one stack", "[portal]") {
    std::vector<std::uintptr_t> positions;
    greenback::portal p;
    auto task = [&]() -> asio::awaitable<void> {
        for (int i = 0; i != 50; ++i) {
            int result = co_await p.run(
                [&](int x) {
                    positions.push_back(stack_position());
                    await_(yield_if(x % 2 == 0));
                    if (x % 5 == 0)
                        await_(value_of(x, true));
                    return x;
                },
                i);
            CHECK(result == i);
            bool thrown = false;
            try {
                co_await p.run([] { throw 1; });
            } catch (int) {
                thrown = true;
            }
            CHECK(thrown);
        }
    };
    run_task(task());
    CHECK(std::count(positions.begin(), positions.end(), positions.front()) == 50);
}

TEST_CASE("a portal that runs is busy", "[portal]") {
    asio::io_context context(1);
    greenback::portal p;
    bool inner_ran = false;
    SECTION("for its own function") {
        run_task(context, context, p.run([&] {
            CHECK_THROWS_AS(await_(p.run([&] { inner_ran = true; })), greenback::portal_busy);
            CHECK(has_portal());
            await_(yield_now());
            CHECK_THROWS_AS(await_(p.run([&] { inner_ran = true; })), greenback::portal_busy);
        }));
    }
    SECTION("for another task, while the function waits") {
        gate open(context);
        spawn(context, p.run([&] { await_(open.wait()); }));
        poll_all(context);
        auto other = [&]() -> asio::awaitable<void> {
            bool busy = false;
            try {
                co_await p.run([&] { inner_ran = true; });
            } catch (greenback::portal_busy const&) {
                busy = true;
            }
            CHECK(busy);
            open.open();
        };
        run_task(context, context, other());
    }
    SECTION("until the task that runs it is destroyed") {
        asio::io_context destroyed(1);
        spawn(destroyed, p.run([] { await_(forever()); }));
        poll_all(destroyed);
        CHECK_THROWS_AS(run_task(context, context, p.run([&] { inner_ran = true; })), greenback::portal_busy);
    }
    CHECK_FALSE(inner_ran);
    CHECK(run_task(context, context, p.run([] { return await_(value_of(1, true)); })) == 1);
}

TEST_CASE("a portal may be moved, and destroyed, while its function waits", "[portal]") {
    asio::io_context context(1);
    counters c;
    bool done = false;
    auto p = std::make_unique<greenback::portal>(std::allocator_arg, counting_stack(c));
    gate open(context);
    spawn(context, p->run([&] {
        await_(open.wait());
        await_(yield_now());
        done = true;
    }));
    poll_all(context);
    SECTION("destroyed") { p.reset(); }
    SECTION("moved") {
        greenback::portal moved(std::move(*p));
        CHECK_THROWS_AS(run_task(moved.run([] {})), greenback::portal_busy);
        p = std::make_unique<greenback::portal>(std::move(moved));
    }
    CHECK(c.deallocated == 0);
    open.open();
    run_all(context);
    CHECK(done);
    p.reset();
    CHECK(c.allocated == 1);
    CHECK(c.deallocated == 1);
}

TEST_CASE("many portals wait at once and are resumed in any order", "[portal]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    constexpr std::size_t count = sanitized ? 300 : 2000;
    asio::io_context context(1);
    std::vector<std::unique_ptr<gate>> gates;
    std::vector<std::size_t> resumed;
    for (std::size_t i = 0; i != count; ++i) {
        gates.push_back(std::make_unique<gate>(context));
        spawn(context, in_portal(how, [&, i] {
                  char volatile local[512] = {};
                  local[i % 512] = static_cast<char>(i);
                  await_(gates[i]->wait());
                  if (local[i % 512] == static_cast<char>(i) && has_portal())
                      resumed.push_back(i);
              }));
    }
    poll_all(context);
    CHECK(resumed.empty());
    std::vector<std::size_t> order(count);
    std::iota(order.begin(), order.end(), std::size_t(0));
    std::shuffle(order.begin(), order.end(), std::mt19937(7));
    bool all_in_order = true;
    for (std::size_t i : order) {
        gates[i]->open();
        poll_all(context);
        all_in_order = all_in_order && !resumed.empty() && resumed.back() == i;
    }
    run_all(context);
    CHECK(all_in_order);
    CHECK(resumed.size() == count);
}

TEST_CASE("portals nest: a task run to its end by a function in another portal has its own", "[portal]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    int inner = 0;
    run_task(in_portal(how, [&] {
        await_(yield_now());
        run_task(in_portal(how, [&] {
            CHECK(has_portal());
            await_(yield_now());
            inner = await_(value_of(3, true));
        }));
        CHECK(has_portal());
        await_(yield_now());
    }));
    CHECK(inner == 3);
}

TEST_CASE("the first thing that a portal's function does may be anything", "[portal]") {
    asio::io_context context, other;
    int done = 0;
    std::vector<std::function<void()>> const first_things = {
        [&] { CHECK(greenback::has_portal()); },
        [&] { CHECK(await_(test::value_of(7, false)) == 7); },
        [&] { CHECK(await_(test::value_of(7, true)) == 7); },
        [&] { asio::post(context, greenback::use_portal); },
        [&] { await_(asio::post(context, test::deferred)); },
        [&] { CHECK(await_(asio::this_coro::executor) == context.get_executor()); },
        [&] { await_(std::suspend_never()); },
        [&] { await_(greenback::with_portal_run_sync([&] { await_(test::yield_now()); })); },
        [&] { await_(greenback::ensure_portal()); },
        [&] { CHECK_THROWS_AS(await_(test::throwing(std::runtime_error("x"), false)), std::runtime_error); },
        [&] {
            try {
                throw std::runtime_error("x");
            } catch (std::runtime_error const&) {
                await_(test::yield_now());
            }
        },
        [&] { // another task, with a portal of its own, begins, waits and ends on this one's stack
            test::spawn(other, greenback::with_portal_run_sync([&] { await_(test::yield_now()); }));
            test::run_all(other);
        },
        [&] { // a task of another executor asks for a portal in force
            test::spawn(other, greenback::ensure_portal());
            test::run_all(other);
        },
        [&] {
            asio::post(other, [] {
                CHECK_FALSE(greenback::has_portal());
                CHECK_THROWS_AS(await_(test::yield_now()), greenback::no_portal);
            });
            test::run_all(other);
        },
        [&] { CHECK(greenback::remaining_stack() < greenback::default_stack_size()); },
        [&] { CHECK(greenback::stats().live >= 1); },
    };
    for (auto const& first_thing : first_things) {
        auto const function = [&] {
            first_thing();
            CHECK(greenback::has_portal());
            CHECK(std::current_exception() == nullptr);
            await_(test::yield_now());
            ++done;
        };
        test::spawn(context, greenback::with_portal_run_sync(function));
        test::run_all(context);
        test::spawn(context, [](auto f) -> asio::awaitable<void> {
            greenback::portal p;
            co_await p.run(f);
            co_await p.run(f);
        }(function));
        test::run_all(context);
        test::spawn(context, greenback::with_portal_run_sync(std::allocator_arg, greenback::pooled_stack(), function));
        test::run_all(context);
    }
    CHECK(done == 4 * int(first_things.size()));
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("a portal is moved, never copied: it owns its stack", "[portal]") {
    STATIC_REQUIRE(std::is_nothrow_move_constructible_v<greenback::portal>);
    STATIC_REQUIRE(std::is_nothrow_move_assignable_v<greenback::portal>);
    STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<greenback::portal>);
    STATIC_REQUIRE_FALSE(std::is_copy_assignable_v<greenback::portal>);
}

TEST_CASE("a moved-from portal is one that has not run yet", "[portal]") {
    greenback::portal p, q;
    CHECK(run_task(p.run([] { return await_(value_of(1, true)); })) == 1);
    greenback::portal moved(std::move(p));
    CHECK(run_task(p.run([] { return await_(value_of(2, true)); })) == 2);
    q = std::move(moved);
    CHECK(run_task(moved.run([] { return await_(value_of(3, true)); })) == 3);
    CHECK(run_task(q.run([] { return await_(value_of(4, true)); })) == 4);
    // Moved from while its function waits, it knows nothing of that.
    asio::io_context context(1);
    gate open(context);
    spawn(context, q.run([&] { await_(open.wait()); }));
    poll_all(context);
    greenback::portal busy(std::move(q));
    CHECK(run_task(q.run([] { return await_(value_of(5, true)); })) == 5);
    CHECK_THROWS_AS(run_task(busy.run([] {})), greenback::portal_busy);
    open.open();
    run_all(context);
    CHECK(run_task(busy.run([] { return await_(value_of(6, true)); })) == 6);
}

#if defined(__GLIBC__)
// What a user reads in a debugger. Unoptimised builds are the ones to look at: there each call is one.
TEST_CASE("between a function and the start of its stack lie two or three calls", "[portal]") {
    // depth_of_stack, the function, the portal's job, the main loop, the fiber's entry
    int depth = 0;
    SECTION("for a function pointer") { depth = run_task(with_portal_run_sync(depth_of_stack)) + 1; }
    SECTION("for a lambda, with arguments") {
        depth =
            run_task(with_portal_run_sync([](int a, std::string const&) { return a + depth_of_stack(); }, 0, "text"));
    }
    SECTION("on a portal's own stack") {
        depth = run_task([]() -> asio::awaitable<int> {
            greenback::portal p;
            co_return co_await p.run([] { return depth_of_stack(); });
        }());
    }
    CHECK(depth >= 3); // an optimised build inlines the function into the job
    CHECK(depth <= 5);
}
#endif
