// SPDX-License-Identifier: MIT

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/every_kind.hpp"
#include "support/sanitizers.hpp"
#include "support/tasks.hpp"

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using greenback::await_;
using greenback::use_portal;

namespace {

constexpr int times(int plain, int when_sanitized) { return test::sanitized ? when_sanitized : plain; }

// Opaque: a compiler may keep the answer in a register across an await_.
[[gnu::noinline]] std::thread::id thread_id() {
    asm volatile("" : : : "memory");
    return std::this_thread::get_id();
}

// Tasks on a pool of four threads, and what went wrong in them: Catch's own assertions are for one thread.
class crew {
public:
    explicit crew(int threads = 4) : pool(static_cast<std::size_t>(threads)) {}

    asio::any_io_executor executor() { return pool.get_executor(); }

    void start(asio::any_io_executor where, asio::awaitable<void> task) {
        ++started_;
        asio::co_spawn(where, std::move(task), [this](std::exception_ptr e) {
            try {
                if (e)
                    std::rethrow_exception(e);
            } catch (std::exception const& x) {
                expect(false, x.what());
            } catch (...) {
                expect(false, "an exception of another kind");
            }
            ++ended_;
        });
    }
    void start(asio::awaitable<void> task) { start(executor(), std::move(task)); }

    void expect(bool ok, char const* what) {
        if (ok)
            return;
        std::lock_guard const lock(mutex_);
        problems_.insert(what);
    }

    void finish() {
        pool.join();
        check();
        CHECK(ended_ == started_);
    }
    void check() {
        std::lock_guard const lock(mutex_);
        CHECK(problems_ == std::set<std::string>());
    }

    asio::thread_pool pool;

private:
    std::mutex mutex_;
    std::set<std::string> problems_;
    std::atomic<int> started_{0}, ended_{0};
};

// Synchronous code, and a witness that one thread at a time runs it.
class one_at_a_time {
public:
    explicit one_at_a_time(crew& c) : crew_(c) { enter(); }
    one_at_a_time(one_at_a_time const&) = delete;
    ~one_at_a_time() { leave(); }

    template <class F> decltype(auto) outside(F f) {
        struct scope {
            one_at_a_time& self;
            explicit scope(one_at_a_time& s) : self(s) { self.leave(); }
            ~scope() { self.enter(); }
        } const out(*this);
        return f();
    }

    std::size_t threads_seen() const { return seen_.size(); }

private:
    void enter() {
        crew_.expect(!inside_.exchange(true), "two threads run one portal");
        ++entries_; // not atomic on purpose: ThreadSanitizer watches it
        seen_.insert(thread_id());
    }
    void leave() { inside_ = false; }

    crew& crew_;
    std::atomic<bool> inside_{false};
    long entries_ = 0;
    std::set<std::thread::id> seen_;
};

asio::awaitable<int> post_often(asio::any_io_executor ex, int n) {
    for (int i = 0; i != n; ++i)
        co_await asio::post(ex, asio::use_awaitable);
    co_return n;
}

// A coroutine that calls synchronous code that awaits a coroutine, and so on.
asio::awaitable<int> deep(asio::any_io_executor ex, int depth) {
    if (depth % 2)
        co_await asio::post(ex, asio::use_awaitable);
    int below = 0;
    if (depth != 0)
        below = depth % 3 ? await_(deep(ex, depth - 1)) : co_await deep(ex, depth - 1);
    if (depth % 2 == 0)
        await_(asio::post(ex, asio::use_awaitable));
    co_return below + 1;
}

struct with_id : std::runtime_error {
    explicit with_id(int i) : std::runtime_error("expected"), id(i) {}
    int id;
};

asio::awaitable<void> fail(asio::any_io_executor ex, int id) {
    co_await asio::post(ex, asio::use_awaitable);
    throw with_id(id);
}

// Awaits inside the catch block, on whatever thread, and rethrows.
int caught_and_rethrown(crew& c, asio::any_io_executor ex, int id) {
    try {
        try {
            await_(fail(ex, id));
        } catch (with_id const& first) {
            asio::post(ex, use_portal);
            try {
                await_(fail(ex, -id));
            } catch (with_id const& second) {
                await_(post_often(ex, 2));
                c.expect(second.id == -id, "another task's exception in the inner catch block");
            }
            c.expect(first.id == id, "the exception changed while it was handled");
            throw;
        }
    } catch (with_id const& again) {
        c.expect(std::uncaught_exceptions() == 0, "nothing is in flight here");
        return again.id;
    }
    return 0;
}

void random_mix(crew& c, unsigned random, int rounds, std::atomic<int>& moved) {
    one_at_a_time here(c);
    asio::any_io_executor const ex = c.executor();
    for (int i = 0; i != rounds; ++i) {
        random = random * 1664525 + 1013904223;
        switch ((random >> 16) % 7) {
        case 0: here.outside([&] { asio::post(ex, use_portal); }); break;
        case 1: c.expect(here.outside([&] { return await_(post_often(ex, 3)); }) == 3, "a wrong result"); break;
        case 2: {
            asio::steady_timer timer(ex, std::chrono::microseconds(random % 50));
            here.outside([&] { timer.async_wait(use_portal); });
            break;
        }
        case 3:
            c.expect(here.outside([&] { return caught_and_rethrown(c, ex, int(random % 1000) + 1); }) ==
                         int(random % 1000) + 1,
                     "another task's exception");
            break;
        case 4: here.outside([&] { asio::defer(ex, use_portal); }); break;
        case 5: here.outside([&] { asio::dispatch(ex, use_portal); }); break;
        default: c.expect(here.outside([&] { return await_(deep(ex, 4)); }) == 5, "a wrong depth");
        }
    }
    if (here.threads_seen() > 1)
        ++moved;
}

} // namespace

TEST_CASE("portals on a pool are run by one thread at a time, and go on on others", "[threads]") {
    crew c;
    std::atomic<int> moved{0};
    for (int i = 0; i != times(300, 60); ++i) {
        auto const how = test::kind_in_turn(i);
        c.start(test::in_portal(how, [&c, &moved, i] { random_mix(c, unsigned(i) * 7919, times(60, 25), moved); }));
    }
    c.finish();
    CHECK(moved > 0);
}

TEST_CASE("an operation that completes on another thread before the fiber is out is not lost", "[threads]") {
    crew c;
    std::atomic<long> done{0};
    int const tasks = 16;
    int const rounds = times(3000, 300);
    for (int i = 0; i != tasks; ++i) {
        c.start(test::in_portal(test::kind_in_turn(i), [&, ex = c.executor()] {
            one_at_a_time here(c);
            for (int n = 0; n != rounds; ++n) {
                here.outside([&] { await_(asio::post(ex, asio::use_awaitable)); });
                ++done;
            }
        }));
    }
    c.finish();
    CHECK(done == tasks * rounds);
}

TEST_CASE("a task whose handler another thread drops before the fiber is out is destroyed once it is", "[threads]") {
    asio::thread_pool pool(2);
    std::atomic<int> unwound{0}, elsewhere{0}, started{0};
    std::thread::id initiated_on;
    std::vector<std::thread> droppers;
    struct witness {
        std::atomic<int>&unwound, &elsewhere;
        std::thread::id const& initiated_on;
        ~witness() {
            if (thread_id() != initiated_on)
                ++elsewhere;
            ++unwound;
        }
    };
    // The handler goes to another thread, which destroys it; the initiation returns a good while later.
    auto const loses_its_handler = [&](auto token) {
        return asio::async_initiate<decltype(token), void()>(
            [&](auto handler) {
                initiated_on = thread_id();
                std::atomic<int>& count = started; // what is captured may be gone with the task after the next line
                droppers.emplace_back([h = std::move(handler)] {});
                ++count;
                std::this_thread::sleep_for(std::chrono::milliseconds(5));
            },
            token);
    };
    int const rounds = 20;
    for (int i = 0; i != rounds; ++i) {
        auto const task = [&, in_coroutine = i % 2 == 0] {
            witness const w{unwound, elsewhere, initiated_on};
            if (in_coroutine)
                await_(test::coroutine_that_calls([&] { await_(loses_its_handler(asio::use_awaitable)); }));
            else
                await_(loses_its_handler(asio::use_awaitable));
        };
        asio::co_spawn(pool, test::in_portal(test::kind_in_turn(i), task), asio::detached);
        while (unwound != i + 1 || started != i + 1) // the pool's other thread must have nothing else to do
            std::this_thread::yield();
    }
    pool.join();
    for (std::thread& t : droppers)
        t.join();
    CHECK(elsewhere > 0); // that other thread destroyed it, meanwhile or at least sometimes
}

TEST_CASE("coroutines on the fiber suspend thousands of times on a pool", "[threads]") {
    crew c;
    std::atomic<long> done{0};
    int const tasks = 16;
    int const rounds = times(600, 60);
    for (int i = 0; i != tasks; ++i) {
        c.start(test::in_portal(test::kind_in_turn(i), [&, ex = c.executor()] {
            one_at_a_time here(c);
            for (int n = 0; n != rounds; ++n) {
                done += here.outside([&] { return await_(post_often(ex, 3)); });
                done += here.outside([&] { return await_(deep(ex, 7)); });
                here.outside([&] { await_(asio::post(ex, test::deferred)); });
            }
        }));
    }
    c.finish();
    CHECK(done == tasks * rounds * 11);
}

TEST_CASE("operations that complete inside their initiation mix with those that complete elsewhere", "[threads]") {
    crew c;
    std::atomic<long> done{0};
    int const tasks = 16;
    int const rounds = times(500, 60);
    auto const strand = asio::make_strand(c.executor());
    auto const inline_and_not = [&](unsigned random) -> asio::awaitable<void> {
        asio::any_io_executor const ex = c.executor();
        co_await asio::dispatch(ex, asio::use_awaitable);
        if (random % 3 == 0)
            co_await asio::post(ex, asio::use_awaitable);
        co_await asio::dispatch(asio::bind_executor(strand, asio::use_awaitable));
        c.expect(strand.running_in_this_thread(), "not in the strand");
        if (random % 5 == 0)
            co_await asio::dispatch(asio::bind_executor(strand, asio::use_awaitable));
        if (random % 2 == 0)
            co_await asio::post(ex, asio::use_awaitable);
        co_await asio::dispatch(asio::bind_executor(ex, asio::use_awaitable));
        ++done;
    };
    for (int i = 0; i != tasks; ++i) {
        c.start(test::in_portal(test::kind_in_turn(i), [&, i, ex = c.executor()] {
            one_at_a_time here(c);
            for (int n = 0; n != rounds; ++n) {
                here.outside([&] { await_(inline_and_not(unsigned(i * 31 + n))); });
                here.outside([&] { await_(asio::dispatch(ex, asio::use_awaitable)); });
                here.outside([&] { asio::dispatch(ex, use_portal); });
            }
        }));
    }
    c.finish();
    CHECK(done == tasks * rounds);
}

TEST_CASE("synchronous code moves between two pools as a coroutine does", "[threads]") {
    crew here;
    asio::thread_pool there(2);
    std::atomic<int> arrivals{0};
    auto const on = [](asio::thread_pool& p) { return p.get_executor().running_in_this_thread(); };
    for (int i = 0; i != 32; ++i) {
        here.start(test::in_portal(test::kind_in_turn(i), [&] {
            for (int n = 0; n != times(100, 25); ++n) {
                await_(asio::post(asio::bind_executor(there.get_executor(), asio::use_awaitable)));
                here.expect(on(there), "not there after await_");
                await_(asio::post(asio::bind_executor(here.executor(), asio::use_awaitable)));
                here.expect(on(here.pool), "not back after await_");
                asio::post(asio::bind_executor(there.get_executor(), use_portal));
                here.expect(on(there), "not there after use_portal");
                asio::post(use_portal); // completes on the task's own executor
                here.expect(on(here.pool), "not back after use_portal");
                await_(asio::post(there, asio::use_awaitable)); // from there, but on the task's executor
                here.expect(on(here.pool), "an operation of another pool took the task along");
                ++arrivals;
            }
        }));
    }
    here.finish();
    there.join();
    CHECK(arrivals == 32 * times(100, 25));
}

TEST_CASE("exceptions of many portals on many threads stay where they belong", "[threads]") {
    crew c(8);
    std::atomic<int> kept{0};
    for (int i = 1; i <= 64; ++i) {
        c.start(test::in_portal(test::kind_in_turn(i), [&, i] {
            for (int n = 0; n != times(100, 15); ++n)
                kept += caught_and_rethrown(c, c.executor(), i) == i;
        }));
    }
    c.finish();
    CHECK(kept == 64 * times(100, 15));
}

TEST_CASE("a pool that is stopped with portals in full swing unwinds them all", "[threads]") {
    static std::atomic<int> alive;
    struct object {
        object() { ++alive; }
        object(object const&) = delete;
        ~object() { --alive; }
    };
    alive = 0;
    for (int round = 0; round != times(20, 6); ++round) {
        std::atomic<int> under_way{0};
        std::atomic<int> returned{0};
        {
            asio::thread_pool pool(4);
            asio::any_io_executor const ex = pool.get_executor();
            for (int i = 0; i != 20; ++i) {
                asio::co_spawn(pool,
                               test::in_portal(test::kind_in_turn(i),
                                               [&, ex, i] {
                                                   object const outer;
                                                   ++under_way;
                                                   for (;;) {
                                                       object const inner;
                                                       if (i % 2)
                                                           await_(deep(ex, 5));
                                                       else
                                                           asio::post(ex, use_portal);
                                                   }
                                                   ++returned;
                                               }),
                               asio::detached);
            }
            while (under_way < 20)
                std::this_thread::yield();
            pool.stop();
            pool.join();
        }
        REQUIRE(alive == 0);
        REQUIRE(returned == 0);
    }
}

TEST_CASE("tasks that start and end on different threads hand their stacks on", "[threads]") {
    crew c;
    std::atomic<int> ended{0};
    auto const next = [&](auto& self, int left) -> asio::awaitable<void> {
        asio::any_io_executor const ex = c.executor();
        co_await greenback::ensure_portal();
        asio::post(ex, use_portal);
        if (left != 0)
            c.start(self(self, left - 1));
        await_(post_often(ex, 1));
        ++ended;
    };
    for (int i = 0; i != 8; ++i)
        c.start(next(next, times(1000, 100)));
    c.finish();
    CHECK(ended == 8 * (times(1000, 100) + 1));
}

TEST_CASE("an initiation may wait for the thread that completes its operation", "[threads]") {
    // Before Asio 1.24 only with use_portal: what await_ starts is initiated on the fiber there, which another thread
    // can't enter before the initiation has returned. See docs/pitfalls.md.
    FOR_EVERY_KIND_OF_PORTAL(how);
    auto const completes_elsewhere = [](auto&& token) {
        return asio::async_initiate<decltype(token), void(int)>(
            [](auto handler) { std::thread([h = std::move(handler)]() mutable { std::move(h)(7); }).join(); }, token);
    };
    int sum = 0;
    test::run_task(test::in_portal(how, [&] {
        for (int i = 0; i != 3; ++i) {
            sum += completes_elsewhere(greenback::use_portal);
#if GREENBACK_ASIO_VERSION >= 102400
            sum += greenback::await_(completes_elsewhere(asio::use_awaitable));
#endif
            greenback::await_(test::yield_now());
        }
    }));
#if GREENBACK_ASIO_VERSION >= 102400
    CHECK(sum == 6 * 7);
#else
    CHECK(sum == 3 * 7);
#endif
}

namespace {

/// Waits for another operation of its kind; then a task of its own calls the handlers of both, awaiting before each.
struct waits_for_another {
    using executor_type = asio::thread_pool::executor_type;
    executor_type pool;
    std::atomic<int>& calls;
    executor_type get_executor() const noexcept { return pool; }

    void operator()(auto handler) const {
        static std::mutex mutex;
        static std::optional<decltype(handler)> waiting;
        std::lock_guard const lock(mutex);
        if (!waiting) {
            waiting.emplace(std::move(handler));
            return;
        }
        auto both = [pool = pool, &calls = calls, first = std::move(*waiting), second = std::move(handler)]() mutable {
            asio::post(pool, use_portal);
            ++calls;
            std::move(first)();
            asio::post(pool, use_portal);
            ++calls;
            std::move(second)();
        };
        waiting.reset();
        asio::co_spawn(pool, greenback::with_portal_run_sync(std::move(both)), asio::detached);
    }
};

} // namespace

TEST_CASE("synchronous code that calls handlers itself does so on the thread it is on by then", "[threads]") {
    // The compiler knows the handlers' type, so it may inline the way into the other fiber: what belongs to the thread
    // before an await must not be used after it.
    crew all;
    constexpr int rounds = times(5000, 200);
    std::atomic<int> calls{0}, left{4 * rounds}; // an even number: none waits for another in vain
    for (int i = 0; i != 4; ++i) {
        all.start(greenback::with_portal_run_sync([&] {
            while (left-- > 0) {
                asio::async_initiate<greenback::use_portal_t const&, void()>(
                    waits_for_another{all.pool.get_executor(), calls}, use_portal);
            }
        }));
    }
    all.finish();
    CHECK(calls == 4 * rounds);
}
