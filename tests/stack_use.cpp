// SPDX-License-Identifier: MIT
//
// Stacks as portals use them: how much is left, how much was used, what happens when there is none.

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/event_loop.hpp"
#include "support/every_kind.hpp"
#include "support/sanitizers.hpp"
#include "support/system.hpp"
#include "support/tasks.hpp"

#include <greenback/detail/fiber/stack_pool.hpp>
#include <greenback/diagnostics.hpp>
#include <greenback/stack.hpp>

#include <boost/context/fixedsize_stack.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <csignal>
#include <cstdint>
#include <fstream>
#include <limits>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

using greenback::await_;
using test::contains;
using test::in_child;
using test::outcome;
using test::run_task;
using test::say;

namespace {

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = 1024 * kib;

#if defined(TEST_UNDER_TSAN)
constexpr bool under_tsan = true;
#else
constexpr bool under_tsan = false;
#endif

// Nobody knows what happens to `p`: neither may the frame it lies in be reused for the next call, nor the call be the
// last.
void let_escape(void* p) { asm volatile("" : : "r"(p) : "memory"); }

// Recursion that no compiler turns into a loop, `bytes` deep (more, in fact: frames have other things in them).
[[gnu::noinline]] void use_stack(std::size_t bytes) { // NOLINT: recursion on purpose
    unsigned char frame[kib];
    let_escape(frame);
    if (bytes > kib)
        use_stack(bytes - kib);
    let_escape(frame);
}

[[gnu::noinline]] std::size_t remaining_below(std::size_t bytes) { // NOLINT: recursion on purpose
    unsigned char frame[kib];
    let_escape(frame);
    std::size_t const result = bytes <= kib ? greenback::remaining_stack() : remaining_below(bytes - kib);
    let_escape(frame);
    return result;
}

std::size_t address_space_used() {
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    return pages * greenback::pooled_stack::traits_type::page_size();
}

/// Restores what a test changes for the whole process.
struct default_size_restored {
    ~default_size_restored() { greenback::default_stack_size(0); }
};

/// The size of the stack the caller runs on, from what is left near its top.
std::size_t size_of_this_stack() { return (greenback::remaining_stack() + 8 * kib) / (16 * kib) * (16 * kib); }

asio::awaitable<std::size_t> size_of_a_new_portal() {
    co_return co_await greenback::with_portal_run_sync(size_of_this_stack);
}

} // namespace

// ---- remaining_stack
// -------------------------------------------------------------------------------------------------

TEST_CASE("remaining_stack tells what is left of the portal's stack", "[stack_use]") {
    CHECK(greenback::remaining_stack() == std::numeric_limits<std::size_t>::max());
    FOR_EVERY_KIND_OF_PORTAL(how);
    std::size_t at_first = 0, deeper = 0, after_await = 0;
    run_task(test::in_portal(how, [&] {
        at_first = greenback::remaining_stack();
        deeper = remaining_below(20 * kib);
        await_(test::yield_now());
        after_await = greenback::remaining_stack();
    }));
    CHECK(at_first < greenback::default_stack_size());
    CHECK(at_first > greenback::default_stack_size() - 16 * kib);
    CHECK(deeper <= at_first - 20 * kib);
    CHECK(deeper > at_first - 60 * kib); // AddressSanitizer's frames are larger
    CHECK(after_await == at_first);
    CHECK(greenback::remaining_stack() == std::numeric_limits<std::size_t>::max());
}

TEST_CASE("remaining_stack is that of the innermost portal", "[stack_use]") {
    std::size_t outside = 0, inside = 0, afterwards = 0, in_handler = 0;
    run_task(greenback::with_portal_run_sync([&] {
        outside = greenback::remaining_stack();
        asio::io_context nested;
        asio::post(nested, [&] { in_handler = greenback::remaining_stack(); });
        test::spawn(nested, greenback::with_portal_run_sync(std::allocator_arg, greenback::pooled_stack(4 * mib),
                                                            [&] { inside = greenback::remaining_stack(); }));
        nested.run();
        afterwards = greenback::remaining_stack();
    }));
    CHECK(inside > 4 * mib - 16 * kib);
    CHECK(inside < 4 * mib);
    CHECK(in_handler < outside); // it runs on the outer portal's stack
    CHECK(in_handler > outside - 64 * kib);
    CHECK(afterwards == outside);
}

TEST_CASE("recursive code can stop in time", "[stack_use]") {
    struct nested_too_deeply {};
    struct parser {
        [[gnu::noinline]] static void descend() { // NOLINT: endless on purpose
            unsigned char frame[kib];
            let_escape(frame);
            if (greenback::remaining_stack() < 64 * kib)
                throw nested_too_deeply();
            descend();
            let_escape(frame);
        }
    };
    CHECK_THROWS_AS(run_task(greenback::with_portal_run_sync([] { parser::descend(); })), nested_too_deeply);
}

// ---- the high-water mark
// ---------------------------------------------------------------------------------------------

TEST_CASE("the high-water mark shows the deepest use of any portal's stack", "[stack_use]") {
    if (!test::shows_pages()) {
        WARN("skipped: this system doesn't show which pages were touched");
        return;
    }
    greenback::measure_stack_use(true);
    run_task(greenback::with_portal_run_sync([] { use_stack(16 * kib); }));
    std::size_t const before = greenback::stack_high_water();
    if (before == 0) {
        WARN("skipped: the system doesn't tell which pages were touched, or memory is locked");
        return;
    }
    CHECK(before >= 16 * kib);

    std::size_t const deep = before + mib;
    // Two of these keep their pages while they are idle; see stack.hpp.
    greenback::pooled_stack const large(std::max(16 * mib, 2 * deep));
    std::size_t used = 0, during = 0;
    run_task(greenback::with_portal_run_sync(std::allocator_arg, large, [&] {
        std::size_t const at_start = greenback::remaining_stack();
        use_stack(deep);
        used = at_start - remaining_below(deep); // the same recursion, about
        during = greenback::stack_high_water();  // of portals that are running
        await_(test::yield_now());
    }));
    CHECK(during >= deep);
    CHECK(during < 2 * used + 64 * kib);
    CHECK(greenback::stack_high_water() == during);

    // Push the stack out of those that keep their pages.
    asio::io_context context(1);
    test::gate gate(context);
    for (int i = 0; i != 6; ++i)
        test::spawn(context, greenback::with_portal_run_sync(std::allocator_arg, large, [&] { await_(gate.wait()); }));
    test::poll_all(context);
    gate.open();
    test::run_all(context);
    CHECK(greenback::stack_high_water() == during);

    // Switched on again, it starts from what has its pages.
    greenback::measure_stack_use(false);
    greenback::measure_stack_use(true);
    CHECK(greenback::stack_high_water() <= during);

    SECTION("other allocators' stacks count as well, also after they were given back") {
        std::size_t const so_far = greenback::stack_high_water();
        std::size_t const deeper = so_far + mib;
        run_task(greenback::with_portal_run_sync(
            std::allocator_arg, boost::context::protected_fixedsize_stack(3 * deeper), [&] { use_stack(deeper); }));
        CHECK(greenback::stack_high_water() >= deeper);
        CHECK(greenback::stack_high_water() < 3 * deeper);
    }
    greenback::measure_stack_use(false);
}

// ---- the threads' caches
// ---------------------------------------------------------------------------------------------

TEST_CASE("default_stack_size counts for the next portal, whatever is cached", "[stack_use]") {
    default_size_restored const restored;
    std::size_t const normal = greenback::default_stack_size();
    asio::io_context context(1);
    auto const ask = [&] { return run_task(context, context.get_executor(), size_of_a_new_portal()); };
    CHECK(ask() == normal);
    CHECK(ask() == normal);

    greenback::default_stack_size(2 * mib);
    CHECK(ask() == 2 * mib);
    greenback::default_stack_size(512 * kib);
    CHECK(ask() == 512 * kib);

    // A portal that began before and ends after the change must not bring its stack into the cache.
    test::gate gate(context);
    test::spawn(context, greenback::with_portal_run_sync([&] { await_(gate.wait()); }));
    test::poll_all(context);
    greenback::default_stack_size(0);
    CHECK(run_task(context, context.get_executor(), [&gate]() -> asio::awaitable<std::size_t> {
              auto const size = co_await size_of_a_new_portal();
              gate.open();
              co_return size;
          }()) == normal);
    CHECK(ask() == normal);
    CHECK(ask() == normal);
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("default_stack_size counts on other threads too", "[stack_use]") {
    default_size_restored const restored;
    std::size_t const normal = greenback::default_stack_size();
    std::atomic<int> step{0};
    std::size_t sizes[2] = {};
    std::thread other([&] {
        sizes[0] = run_task(size_of_a_new_portal());
        step = 1;
        step.notify_all();
        step.wait(1);
        sizes[1] = run_task(size_of_a_new_portal());
    });
    step.wait(0);
    greenback::default_stack_size(normal + mib);
    step = 2;
    step.notify_all();
    other.join();
    CHECK(sizes[0] == normal);
    CHECK(sizes[1] == (normal + mib) / (16 * kib) * (16 * kib) + (greenback::default_stack_size() - (normal + mib)));
}

namespace {

/// `count` portals on one thread, all suspended at once.
void run_together(int count) {
    asio::io_context context(1);
    test::gate gate(context);
    for (int i = 0; i != count; ++i)
        test::spawn(context, greenback::with_portal_run_sync([&] { await_(gate.wait()); }));
    test::poll_all(context);
    gate.open();
    test::run_all(context);
}

std::size_t pool_stacks_in_use() {
    std::size_t result = 0;
    greenback::detail::for_each_stack([&](greenback::detail::stack, bool in_use) { result += in_use ? 1 : 0; });
    return result;
}

} // namespace

TEST_CASE("a thread that ends gives its cached stacks back", "[stack_use]") {
    std::size_t const in_use = pool_stacks_in_use();
    std::size_t cached_by_threads = 0;
    for (int round = 0; round != 3; ++round) {
        std::vector<std::thread> threads;
        std::atomic<int> ready{0};
        std::atomic<bool> go{false};
        for (int i = 0; i != 4; ++i)
            threads.emplace_back([&] {
                run_together(40);
                ready.fetch_add(1);
                ready.notify_all();
                go.wait(false);
            });
        for (int n = 0; (n = ready.load()) != 4;)
            ready.wait(n);
        cached_by_threads = pool_stacks_in_use() - in_use;
        go = true;
        go.notify_all();
        for (auto& t : threads)
            t.join();
        CHECK(pool_stacks_in_use() == in_use);
    }
    CHECK(cached_by_threads > 0);
    CHECK(cached_by_threads <= 4 * 64);
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("a thread keeps a bounded number of stacks, and fewer large ones", "[stack_use]") {
    default_size_restored const restored;
    for (std::size_t const size : {std::size_t(0), 16 * kib + 1, 2 * mib, 32 * mib}) {
        greenback::default_stack_size(size == 16 * kib + 1 ? 64 * kib : size);
        std::size_t kept = 0;
        std::thread([&] {
            std::size_t const before = pool_stacks_in_use();
            run_together(100);
            kept = pool_stacks_in_use() - before;
        }).join();
        CAPTURE(size, kept);
        CHECK(kept >= 2);
        CHECK(kept <= 64);
        CHECK((kept <= 2 || kept * greenback::default_stack_size() <= 32 * mib));
    }
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("a thread takes not many more stacks than it has portals", "[stack_use]") {
    for (int const count : {1, 30, 1000}) {
        std::thread([count] {
            std::size_t const before = pool_stacks_in_use();
            asio::io_context context(1);
            test::gate gate(context);
            for (int i = 0; i != count; ++i)
                test::spawn(context, greenback::with_portal_run_sync([&] { await_(gate.wait()); }));
            test::poll_all(context);
            std::size_t const taken = pool_stacks_in_use() - before;
            CAPTURE(count, taken);
            auto const needed = static_cast<std::size_t>(count);
            CHECK(taken >= needed);
            CHECK(taken <= needed + std::clamp<std::size_t>(needed / 4, 8, 32));
            gate.open();
            test::run_all(context);
        }).join();
    }
}

TEST_CASE("what thousands of portals have used is given back when they have ended", "[stack_use]") {
    if (!test::shows_pages()) {
        WARN("skipped: this system doesn't show which pages were touched");
        return;
    }
    bool const in_order = GENERATE(true, false);
    CAPTURE(in_order);
    constexpr int count = under_tsan ? 2000 : 10'000; // a fiber counts as a thread there, and 8,128 are allowed
    std::size_t with_pages = 0;
    std::size_t with_pages_then = 0;
    std::thread([&] {
        auto const stacks_with_pages = [] {
            std::size_t result = 0;
            greenback::detail::for_each_stack([&](greenback::detail::stack s, bool) {
                if (s.size == greenback::default_stack_size() && greenback::detail::stack_bytes_touched(s) != 0)
                    ++result;
            });
            return result;
        };
        asio::io_context context(1);
        {
            std::vector<asio::steady_timer> timers;
            timers.reserve(count);
            for (int i = 0; i != count; ++i) {
                timers.emplace_back(context, std::chrono::hours(1));
                test::spawn(context, greenback::with_portal_run_sync([&timer = timers.back()] {
                                use_stack(8 * kib);
                                test::error_code ignored;
                                timer.async_wait(asio::redirect_error(greenback::use_portal, ignored));
                            }));
            }
            test::poll_all(context);
            with_pages = stacks_with_pages();
            for (int i = 0; i != count; ++i) // 7001 is a prime: each once, and none beside the one before it
                timers[static_cast<std::size_t>(in_order ? i : i * 7001L % count)].cancel();
            test::run_all(context);
        }
        with_pages_then = stacks_with_pages();
    }).join();
    CHECK(with_pages >= count);
    CHECK(with_pages_then <= 64 + 256); // what a thread and the pool keep
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("bursts of a hundred portals on each of four threads keep their pages from one to the next", "[stack_use]") {
    // Sanitizers' larger stacks are fewer.
    auto const at_once = static_cast<int>(100 * 512 * kib / std::max(greenback::default_stack_size(), 512 * kib));
    constexpr int thread_count = 4;
    std::size_t with_pages = 0;
    std::barrier together(thread_count);
    std::vector<std::thread> threads;
    for (int i = 0; i != thread_count; ++i)
        threads.emplace_back([&, i] {
            for (int round = 0; round != 3; ++round) {
                asio::io_context context(1);
                test::gate gate(context);
                for (int k = 0; k != at_once; ++k)
                    test::spawn(context, greenback::with_portal_run_sync([&] { await_(gate.wait()); }));
                test::poll_all(context);
                together.arrive_and_wait(); // all of all threads are suspended now
                gate.open();
                test::run_all(context);
                together.arrive_and_wait(); // none has a portal now
            }
            if (i == 0)
                greenback::detail::for_each_stack([&](greenback::detail::stack s, bool) {
                    if (s.size == greenback::default_stack_size() && greenback::detail::stack_bytes_touched(s) != 0)
                        ++with_pages;
                });
            together.arrive_and_wait();
        });
    for (auto& t : threads)
        t.join();
    if (with_pages == 0) {
        WARN("skipped: the system doesn't tell which pages were touched");
        return;
    }
    CHECK(with_pages >= static_cast<std::size_t>(thread_count * at_once));
}

TEST_CASE("portals that begin on one thread and end on another leave nothing behind", "[stack_use]") {
    std::size_t const in_use = pool_stacks_in_use();
    std::thread([] {
        for (int round = 0; round != 5; ++round) {
            asio::io_context context;
            test::gate gate(context);
            for (int i = 0; i != 100; ++i)
                test::spawn(context, greenback::with_portal_run_sync([&] { await_(gate.wait()); }));
            test::poll_all(context);
            std::thread([&] {
                gate.open();
                test::run_all(context);
            }).join();
        }
    }).join();
    CHECK(pool_stacks_in_use() == in_use);
    CHECK(greenback::stats().live == 0);
}

namespace {

/// Portals that end when everything of a thread is over: a thread-local that was there before its cache of stacks.
struct late_portals {
    asio::io_context context;
    test::gate gate{context};
    ~late_portals() { run_task(size_of_a_new_portal()); } // and the suspended one is destroyed
};

} // namespace

TEST_CASE("portals may still be made and destroyed by a thread's last destructors", "[stack_use]") {
    std::size_t const in_use = pool_stacks_in_use();
    std::thread([] {
        thread_local late_portals late; // made first, so destroyed after the cache
        test::spawn(late.context, greenback::with_portal_run_sync([&] { await_(late.gate.wait()); }));
        test::poll_all(late.context);
    }).join();
    CHECK(pool_stacks_in_use() == in_use);
    CHECK(greenback::stats().live == 0);
}

// ---- custom allocators
// -----------------------------------------------------------------------------------------------

namespace {

/// Counts, on top of Boost's malloc-based allocator.
struct counting_stack {
    struct counts {
        int allocated = 0, deallocated = 0;
        std::vector<void*> tops;
    };
    using traits_type = boost::context::fixedsize_stack::traits_type;

    counts* seen;
    boost::context::fixedsize_stack base{256 * kib};

    boost::context::stack_context allocate() {
        auto const s = base.allocate();
        ++seen->allocated;
        seen->tops.push_back(s.sp);
        return s;
    }
    void deallocate(boost::context::stack_context& s) noexcept {
        ++seen->deallocated;
        seen->tops.erase(std::find(seen->tops.begin(), seen->tops.end(), s.sp));
        base.deallocate(s);
    }
};

} // namespace

TEST_CASE("a custom allocator gets back what it gave, however the portal ends", "[stack_use]") {
    counting_stack::counts counts;
    auto const portal = [&](auto f) {
        return greenback::with_portal_run_sync(std::allocator_arg, counting_stack{&counts}, std::move(f));
    };
    SECTION("by returning") {
        run_task(portal([] { await_(test::yield_now()); }));
    }
    SECTION("by an exception") {
        CHECK_THROWS_AS(run_task(portal([] {
                            await_(test::yield_now());
                            throw std::out_of_range("x");
                        })),
                        std::out_of_range);
    }
    SECTION("by destruction, suspended") {
        {
            asio::io_context context(1);
            for (int i = 0; i != 5; ++i)
                test::spawn(context, portal([] { await_(test::forever()); }));
            test::poll_all(context);
            CHECK(counts.allocated == 5);
            CHECK(counts.deallocated == 0);
        }
    }
    SECTION("without ever being awaited") {
        auto never = portal([] {});
        CHECK(counts.allocated == 0);
    }
    SECTION("as a portal object's") {
        run_task([](counting_stack::counts& c) -> asio::awaitable<void> {
            greenback::portal p(std::allocator_arg, counting_stack{&c});
            for (int i = 0; i != 3; ++i)
                co_await p.run([] { await_(test::yield_now()); });
            CHECK(c.allocated == 1);
            CHECK(c.deallocated == 0);
        }(counts));
        CHECK(counts.allocated == 1);
    }
    CHECK(counts.allocated == counts.deallocated);
    CHECK(counts.tops.empty());
    CHECK(greenback::stats().live == 0);
}

// ---- overflow
// --------------------------------------------------------------------------------------------------------

namespace {

[[gnu::noinline]] void overflow() { use_stack(std::numeric_limits<std::size_t>::max() / 2); }

constexpr unsigned line_of_last_await = __LINE__ + 2;
void await_and_overflow() {
    await_(test::yield_now());
    overflow();
}
std::string const last_await = "last await_ at " + std::string(__FILE__) + ":" + std::to_string(line_of_last_await);

} // namespace

TEST_CASE("an overflow hits the guard, and says nothing unless asked to", "[stack_use]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    outcome const result = in_child([&] {
        run_task(test::in_portal(how, await_and_overflow));
        return 0;
    });
    CAPTURE(result.said);
    CHECK(result.crashed());
    CHECK_FALSE(contains(result.said, "greenback:"));
}

TEST_CASE("the reporter names the stack and the last await_ before the process dies", "[stack_use]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    outcome const result = in_child([&] {
        greenback::report_stack_overflow();
        run_task(test::in_portal(how, await_and_overflow));
        return 0;
    });
    CAPTURE(result.said, last_await);
    CHECK(result.crashed());
    CHECK(contains(result.said,
                   "greenback: stack overflow in a portal: " + std::to_string(greenback::default_stack_size() / kib) +
                       " KiB stack, " + last_await));
    CHECK(contains(result.said, "pooled_stack(bytes)"));
    CHECK(std::count(result.said.begin(), result.said.end(), '\n') == 1);
}

TEST_CASE("the reporter names the operation that use_portal waited for last", "[stack_use]") {
    outcome const token = in_child([] {
        greenback::report_stack_overflow();
        run_task(greenback::with_portal_run_sync([] {
            await_(test::yield_now());
            asio::steady_timer(await_(asio::this_coro::executor), std::chrono::milliseconds(1))
                .async_wait(greenback::use_portal);
            overflow();
        }));
        return 0;
    });
    CAPTURE(token.said);
    CHECK(token.crashed());
    CHECK(contains(token.said, " KiB stack, last waited for "));
    CHECK(contains(token.said, "initiate_async_wait by use_portal; give it more"));

    constexpr unsigned line = __LINE__ + 6;
    outcome const deferred = in_child([] {
        greenback::report_stack_overflow();
        run_task(greenback::with_portal_run_sync([] {
            asio::any_io_executor const ex = await_(asio::this_coro::executor);
            asio::post(ex, greenback::use_portal);
            await_(asio::post(ex, test::deferred));
            overflow();
        }));
        return 0;
    });
    CAPTURE(deferred.said);
    CHECK(deferred.crashed());
    CHECK(contains(deferred.said, "last await_ at " + std::string(__FILE__) + ":" + std::to_string(line)));
}

TEST_CASE("the reporter knows stacks of other sizes and from other allocators", "[stack_use]") {
    auto const run = [](auto alloc) {
        return in_child([&] {
            greenback::report_stack_overflow();
            run_task(greenback::with_portal_run_sync(std::allocator_arg, alloc, [] { overflow(); }));
            return 0;
        });
    };
    outcome const pooled = run(greenback::pooled_stack(mib));
    CAPTURE(pooled.said);
    CHECK(pooled.crashed());
    CHECK(contains(pooled.said, "1024 KiB stack, no await_ yet"));

    outcome const boosts = run(boost::context::protected_fixedsize_stack(512 * kib));
    CAPTURE(boosts.said);
    CHECK(boosts.crashed());
    CHECK(contains(boosts.said, "greenback: stack overflow in a portal: 51"));
}

TEST_CASE("the reporter serves threads that began before it and after it", "[stack_use]") {
    if (under_tsan) {
        WARN("skipped: ThreadSanitizer starts no threads in a child of fork()");
        return;
    }
    bool const before = GENERATE(false, true);
    CAPTURE(before);
    outcome const result = in_child([=] {
        std::thread([&] {
            if (before) {
                run_task(greenback::with_portal_run_sync([] { await_(test::yield_now()); }));
                std::thread([] { greenback::report_stack_overflow(); }).join();
            }
            run_task(greenback::with_portal_run_sync(await_and_overflow));
        }).join();
        return 0;
    });
    outcome const other = in_child([=] {
        greenback::report_stack_overflow();
        // Resumed by a thread that never made a portal.
        asio::io_context context;
        test::gate gate(context);
        test::spawn(context, greenback::with_portal_run_sync([&] {
                        await_(gate.wait());
                        await_and_overflow();
                    }));
        test::poll_all(context);
        std::thread([&] {
            gate.open();
            test::run_all(context);
        }).join();
        return 0;
    });
    CAPTURE(result.said, other.said);
    CHECK(result.crashed());
    CHECK(contains(result.said, last_await) == before);
    CHECK(other.crashed());
    CHECK(contains(other.said, last_await));
}

TEST_CASE("the handler from before the reporter sees the overflow afterwards", "[stack_use]") {
    outcome const result = in_child([] {
        struct sigaction mine{};
        mine.sa_sigaction = [](int, siginfo_t*, void*) {
            say("the handler from before\n");
            ::_exit(7);
        };
        mine.sa_flags = SA_SIGINFO | SA_ONSTACK;
        ::sigaction(SIGSEGV, &mine, nullptr);
        ::sigaction(SIGBUS, &mine, nullptr);
        greenback::report_stack_overflow();
        run_task(greenback::with_portal_run_sync(await_and_overflow));
        return 0;
    });
    CAPTURE(result.said);
    CHECK(result.exited_with(7));
    CHECK(result.said.find("greenback:") < result.said.find("the handler from before"));
    CHECK(contains(result.said, last_await));
}

TEST_CASE("the reporter leaves other faults alone", "[stack_use]") {
    auto const fault = [] {
        void* const page = ::mmap(nullptr, 4 * kib, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        *static_cast<char volatile*>(page) = 1;
    };
    SECTION("without a handler") {
        bool const inside = GENERATE(false, true);
        outcome const result = in_child([&] {
            greenback::report_stack_overflow();
            if (inside)
                run_task(greenback::with_portal_run_sync(fault));
            else
                fault();
            return 0;
        });
        CAPTURE(inside, result.said);
        CHECK(result.crashed());
        CHECK_FALSE(contains(result.said, "greenback:"));
    }
    SECTION("that a handler repairs, again and again") {
        outcome const result = in_child([] {
            struct sigaction mine{};
            mine.sa_sigaction = [](int, siginfo_t* info, void*) {
                say(".");
                auto const at = reinterpret_cast<std::uintptr_t>(info->si_addr) & ~std::uintptr_t(4 * kib - 1);
                ::mprotect(reinterpret_cast<void*>(at), 4 * kib, PROT_READ | PROT_WRITE);
            };
            mine.sa_flags = SA_SIGINFO;
            ::sigaction(SIGSEGV, &mine, nullptr);
            ::sigaction(SIGBUS, &mine, nullptr);
            greenback::report_stack_overflow();
            auto* const pages =
                static_cast<char volatile*>(::mmap(nullptr, 12 * kib, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
            pages[0] = 1;
            run_task(greenback::with_portal_run_sync([&] {
                pages[4 * kib] = 1;
                await_(test::yield_now());
                pages[8 * kib] = 1;
            }));
            return 5;
        });
        CAPTURE(result.said);
        CHECK(result.exited_with(5));
        CHECK(result.said == "...");
    }
    SECTION("that are sent") {
        outcome const result = in_child([] {
            greenback::report_stack_overflow();
            run_task(greenback::with_portal_run_sync([] { ::kill(::getpid(), SIGSEGV); }));
            return 0;
        });
        CAPTURE(result.said);
        CHECK(result.died_of(SIGSEGV));
        CHECK_FALSE(contains(result.said, "greenback:"));
    }
}

// ---- fork
// ------------------------------------------------------------------------------------------------------------

TEST_CASE("suspended portals go on in both processes after a fork", "[stack_use]") {
    asio::io_context context(1);
    test::gate gate(context);
    int sum = 0;
    for (int i = 0; i != 10; ++i)
        test::spawn(context, greenback::with_portal_run_sync([&, i] {
                        await_(gate.wait());
                        use_stack(16 * kib);
                        sum += i;
                    }));
    test::poll_all(context);
    CHECK(greenback::stats().suspended == 10);

    context.notify_fork(asio::io_context::fork_prepare);
    outcome const result = in_child([&] {
        context.notify_fork(asio::io_context::fork_child);
        if (greenback::stats().suspended != 10)
            return 1;
        gate.open();
        test::run_all(context);
        if (sum != 45)
            return 2;
        run_together(20);
        if (greenback::stats().live != 0)
            return 3;
        return 0;
    });
    context.notify_fork(asio::io_context::fork_parent);
    CAPTURE(result.said);
    CHECK(result.exited_with(0));
    CHECK(sum == 0);
    gate.open();
    test::run_all(context);
    CHECK(sum == 45);
    CHECK(greenback::stats().live == 0);
}

TEST_CASE("a forked child can ask for the reporter, whatever other threads were doing", "[stack_use]") {
    if (test::sanitized) {
        WARN("skipped: no threads beside a fork under a sanitizer");
        return;
    }
    outcome const result = in_child([] {
        std::atomic<bool> stop{false};
        std::vector<std::thread> threads;
        for (int i = 0; i != 2; ++i)
            threads.emplace_back([&] {
                while (!stop)
                    greenback::report_stack_overflow();
            });
        int failures = 0;
        for (int i = 0; i != 50 && failures == 0; ++i) {
            outcome const child = in_child([] {
                ::alarm(5);
                greenback::report_stack_overflow();
                return 0;
            });
            failures += !child.exited_with(0);
        }
        stop = true;
        for (std::thread& t : threads)
            t.join();
        return failures;
    });
    CAPTURE(result.said);
    CHECK(result.exited_with(0));
}

// ---- exhaustion
// ------------------------------------------------------------------------------------------------------

TEST_CASE("no address space left: bad_alloc comes out of co_await, and the task goes on", "[stack_use]") {
    if (test::sanitized) {
        WARN("skipped: a sanitizer needs more address space than any sensible limit");
        return;
    }
    if (!test::keeps_limit(RLIMIT_AS)) {
        WARN("skipped: this system doesn't enforce RLIMIT_AS: an emulator");
        return;
    }
    outcome const result = in_child([] {
        greenback::set_log_handler([](char const* text) noexcept { say(text), say("\n"); });
        greenback::default_stack_size(128 * mib); // so that the heap still finds room where no stack does
        rlimit limit{};
        ::getrlimit(RLIMIT_AS, &limit);
        limit.rlim_cur = address_space_used() + 2048 * mib;
        if (::setrlimit(RLIMIT_AS, &limit) != 0)
            return 1;
        asio::io_context context(1);
        test::gate gate(context);
        int running = 0, refused = 0, went_on = 0, again = 0;
        auto const task = [&]() -> asio::awaitable<void> {
            bool failed = false;
            auto const wait = [&] {
                ++running;
                await_(gate.wait());
            };
            try {
                co_await greenback::with_portal_run_sync(wait);
            } catch (greenback::stack_exhausted const& e) {
                failed = e.limit() == greenback::stack_limit::address_space;
            }
            if (!failed)
                co_return;
            ++refused;
            co_await test::yield_now();
            try {
                co_await greenback::with_portal_run_sync(wait);
            } catch (std::bad_alloc const&) {
                ++went_on;
            }
            co_await gate.wait();
            co_await test::sleep_ms(20); // until the others are through
            co_await greenback::with_portal_run_sync([&] { again += await_(test::value_of(1, false)); });
        };
        for (int i = 0; i != 40; ++i)
            test::spawn(context, task());
        test::poll_all(context);
        if (running < 8 || running + refused != 40 || went_on != refused)
            return say((std::to_string(running) + " " + std::to_string(refused) + " " + std::to_string(went_on))
                           .c_str()),
                   2;
        gate.open();
        test::run_all(context);
        if (again != refused)
            return 3;
        return greenback::stats().live == 0 ? 0 : 4;
    });
    CAPTURE(result.said);
    CAPTURE(result.status);
    CHECK(result.exited_with(0));
    CHECK(contains(result.said, "RLIMIT_AS"));
}
