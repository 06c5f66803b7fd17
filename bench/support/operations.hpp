// SPDX-License-Identifier: MIT
// The operations that are measured, each defined once: await.cpp and spawn.cpp time them, instructions.cpp counts their
// instructions and allocations.cpp their allocations. What differs is the `Loop`, anything that can stand in
// `for (auto _ : loop)`; each pass through it is one operation.
#pragma once

#include "bare_switch.hpp"

#include <asio.hpp>
#if defined(GREENBACK_USE_BOOST_ASIO)
#include <boost/asio/spawn.hpp> // not in the header above
#endif

#include <greenback/diagnostics.hpp>
#include <greenback/greenback.hpp>

#include <boost/context/fiber.hpp>

#include <exception>
#include <tuple>
#include <utility>

namespace bench {

template <class T = void> using task = asio::awaitable<T>;

/// Runs `t` on a fresh event loop, to its end.
inline void run(task<> t) {
    asio::io_context io(1);
    std::exception_ptr failure;
    asio::co_spawn(io, std::move(t), [&](std::exception_ptr e) { failure = e; });
    io.run();
    if (failure)
        std::rethrow_exception(failure);
}

/// Makes the compiler believe that `value` is used.
inline void keep(int& value) { asm volatile("" : "+r"(value)); }

[[gnu::noinline]] inline task<int> ready(int i) { co_return i + 1; }
[[gnu::noinline]] inline task<> child() { co_return; }
inline void nothing() {}

template <class Loop> void boost_context_round_trip(Loop& loop) {
    boost::context::fiber f([](boost::context::fiber&& back) {
        for (;;)
            back = std::move(back).resume();
        return std::move(back);
    });
    for ([[maybe_unused]] auto _ : loop)
        f = std::move(f).resume();
}

// ---- a ready coroutine ----

template <class Loop> void co_await_ready(Loop& loop) {
    run([](Loop& l) -> task<> {
        int i = 0;
        for ([[maybe_unused]] auto _ : l) {
            i = co_await ready(i);
            keep(i);
        }
    }(loop));
}

template <class Loop> void await_ready(Loop& loop) {
    run(greenback::with_portal_run_sync([&loop] {
        int i = 0;
        for ([[maybe_unused]] auto _ : loop) {
            i = greenback::await_(ready(i));
            keep(i);
        }
    }));
}

// ---- an operation that suspends ----

template <class Loop> void co_await_post(Loop& loop) {
    run([](Loop& l) -> task<> {
        asio::any_io_executor ex = co_await asio::this_coro::executor;
        for ([[maybe_unused]] auto _ : l)
            co_await asio::post(ex, asio::use_awaitable);
    }(loop));
}

template <class Loop> void await_post(Loop& loop) {
    run(greenback::with_portal_run_sync([&loop] {
        asio::any_io_executor ex = greenback::await_(asio::this_coro::executor);
        for ([[maybe_unused]] auto _ : loop)
            greenback::await_(asio::post(ex, asio::use_awaitable));
    }));
}

template <class Loop> void use_portal_post(Loop& loop) {
    run(greenback::with_portal_run_sync([&loop] {
        asio::any_io_executor ex = greenback::await_(asio::this_coro::executor);
        for ([[maybe_unused]] auto _ : loop)
            asio::post(ex, greenback::use_portal);
    }));
}

// ---- the least that could do it: Asio's part is a handler's way through the event loop, ours one switch there and back

template <class Loop> void handler_post(Loop& loop) {
    asio::io_context io(1);
    struct handler {
        asio::io_context::executor_type ex;
        decltype(loop.begin())& at;
        decltype(loop.end()) const& end;
        void operator()() {
            if (at != end) {
                ++at;
                asio::post(ex, std::move(*this));
            }
        }
    };
    auto at = loop.begin();
    auto const end = loop.end();
    asio::post(io.get_executor(), handler{io.get_executor(), at, end});
    io.run();
}

/// `f(ex)`, again and again in a portal, where `ex` is the event loop's own executor instead of a type-erased one.
template <class Loop, class F> void in_portal_on_own_executor(Loop& loop, F f) {
    asio::io_context io(1);
    asio::co_spawn(io, greenback::with_portal_run_sync([&] {
                       asio::io_context::executor_type const ex = io.get_executor();
                       for ([[maybe_unused]] auto _ : loop)
                           f(ex);
                   }),
                   asio::detached);
    io.run();
}

template <class Executor> [[gnu::noinline]] void use_portal_at_depth(Executor const& ex, int depth) {
    if (depth > 1)
        use_portal_at_depth(ex, depth - 1);
    else
        asio::post(ex, greenback::use_portal);
    asm volatile("" ::: "memory"); // no tail call
}

template <class Loop> void use_portal_post_on_own_executor(Loop& loop) {
    in_portal_on_own_executor(loop, [](auto const& ex) { asio::post(ex, greenback::use_portal); });
}
template <class Loop> void use_portal_post_on_own_executor_three_deep(Loop& loop) {
    in_portal_on_own_executor(loop, [](auto const& ex) { use_portal_at_depth(ex, 3); });
}
template <class Loop> void use_portal_post_on_own_executor_ten_deep(Loop& loop) {
    in_portal_on_own_executor(loop, [](auto const& ex) { use_portal_at_depth(ex, 10); });
}

// ---- ten calls deep, from the top each time ----

[[gnu::noinline]] inline task<> co_await_at_depth(asio::any_io_executor const& ex, int depth) {
    if (depth > 1)
        co_await co_await_at_depth(ex, depth - 1);
    else
        co_await asio::post(ex, asio::use_awaitable);
}

template <class Loop> void co_await_post_ten_deep(Loop& loop) {
    run([](Loop& l) -> task<> {
        asio::any_io_executor ex = co_await asio::this_coro::executor;
        for ([[maybe_unused]] auto _ : l)
            co_await co_await_at_depth(ex, 10);
    }(loop));
}

template <class Loop> void use_portal_post_ten_deep(Loop& loop) {
    run(greenback::with_portal_run_sync([&loop] {
        asio::any_io_executor ex = greenback::await_(asio::this_coro::executor);
        for ([[maybe_unused]] auto _ : loop)
            use_portal_at_depth(ex, 10);
    }));
}

// ---- in a task with a portal of its own ----

template <class Loop> void co_await_post_with_ensure_portal(Loop& loop) {
    run([](Loop& l) -> task<> {
        co_await greenback::ensure_portal();
        asio::any_io_executor ex = co_await asio::this_coro::executor;
        for ([[maybe_unused]] auto _ : l)
            co_await asio::post(ex, asio::use_awaitable);
    }(loop));
}

template <class Loop> void await_post_with_ensure_portal(Loop& loop) {
    run([](Loop& l) -> task<> {
        co_await greenback::ensure_portal();
        asio::any_io_executor ex = co_await asio::this_coro::executor;
        [&] {
            for ([[maybe_unused]] auto _ : l)
                greenback::await_(asio::post(ex, asio::use_awaitable));
        }();
    }(loop));
}

// ---- portals ----

template <class Loop> void co_await_child(Loop& loop) {
    run([](Loop& l) -> task<> {
        for ([[maybe_unused]] auto _ : l)
            co_await child();
    }(loop));
}

template <class Loop> void with_portal_run_sync_nothing(Loop& loop) {
    run([](Loop& l) -> task<> {
        for ([[maybe_unused]] auto _ : l)
            co_await greenback::with_portal_run_sync(nothing);
    }(loop));
}

template <class Loop> void portal_run_nothing(Loop& loop) {
    run([](Loop& l) -> task<> {
        greenback::portal p;
        for ([[maybe_unused]] auto _ : l)
            co_await p.run(nothing);
    }(loop));
}

// ---- tasks: spawned, run and ended ----

template <class Loop> void co_spawn_child(Loop& loop) {
    asio::io_context io(1);
    for ([[maybe_unused]] auto _ : loop) {
        asio::co_spawn(io, child(), asio::detached);
        io.restart();
        io.run();
    }
}

template <class Loop> void co_spawn_with_portal_run_sync(Loop& loop) {
    asio::io_context io(1);
    for ([[maybe_unused]] auto _ : loop) {
        asio::co_spawn(io, greenback::with_portal_run_sync(nothing), asio::detached);
        io.restart();
        io.run();
    }
}

#if defined(GREENBACK_USE_BOOST_ASIO)
// ---- the same with asio::spawn; standalone Asio has it too, but only on top of Boost.Coroutine before 1.24 ----

template <class F> void run_spawned(F f) {
    asio::io_context io(1);
    std::exception_ptr failure;
    asio::spawn(io, std::move(f), [&](std::exception_ptr e) { failure = e; });
    io.run();
    if (failure)
        std::rethrow_exception(failure);
}

template <class Loop> void spawn_post(Loop& loop) {
    run_spawned([&loop](asio::yield_context yield) {
        asio::any_io_executor ex = yield.get_executor();
        for ([[maybe_unused]] auto _ : loop)
            asio::post(ex, yield);
    });
}

[[gnu::noinline]] inline void spawn_post_at_depth(asio::any_io_executor const& ex, int depth,
                                                  asio::yield_context const& yield) {
    if (depth > 1)
        spawn_post_at_depth(ex, depth - 1, yield);
    else
        asio::post(ex, yield);
    asm volatile("" ::: "memory"); // no tail call
}

template <class Loop> void spawn_post_ten_deep(Loop& loop) {
    run_spawned([&loop](asio::yield_context yield) {
        asio::any_io_executor ex = yield.get_executor();
        for ([[maybe_unused]] auto _ : loop)
            spawn_post_at_depth(ex, 10, yield);
    });
}

/// The only way to await an `awaitable` there: as a task of its own. With `as_tuple`, because Boost 1.81 mishandles a
/// completion that begins with an `exception_ptr`: with a value it doesn't compile, without one it rethrows null.
template <class Loop> void spawn_co_spawn_ready(Loop& loop) {
    run_spawned([&loop](asio::yield_context yield) {
        asio::any_io_executor ex = yield.get_executor();
        int i = 0;
        for ([[maybe_unused]] auto _ : loop) {
            std::exception_ptr failure;
            std::tie(failure, i) = asio::co_spawn(ex, ready(i), asio::as_tuple(yield));
            if (failure)
                std::rethrow_exception(failure);
            keep(i);
        }
    });
}

template <class Loop> void spawn_nothing(Loop& loop) {
    asio::io_context io(1);
    for ([[maybe_unused]] auto _ : loop) {
        asio::spawn(io, [](asio::yield_context) {}, asio::detached);
        io.restart();
        io.run();
    }
}
#endif

} // namespace bench

/// Calls `ROW(name)` for the operations of bench/await.cpp.
#define GREENBACK_BENCH_AWAIT(ROW) \
    ROW(boost_context_round_trip) \
    ROW(co_await_ready) \
    ROW(await_ready) \
    ROW(co_await_post) \
    ROW(await_post) \
    ROW(use_portal_post) \
    ROW(co_await_post_ten_deep) \
    ROW(use_portal_post_ten_deep) \
    ROW(handler_post) \
    ROW(use_portal_post_on_own_executor) \
    ROW(use_portal_post_on_own_executor_three_deep) \
    ROW(use_portal_post_on_own_executor_ten_deep) \
    ROW(switch_with_calls_three_deep) \
    ROW(switch_with_calls_ten_deep) \
    ROW(co_await_post_with_ensure_portal) \
    ROW(await_post_with_ensure_portal) \
    ROW(co_await_child) \
    ROW(with_portal_run_sync_nothing) \
    ROW(portal_run_nothing) \
    ROW(co_spawn_child) \
    ROW(co_spawn_with_portal_run_sync)

/// … and for those of bench/spawn.cpp.
#define GREENBACK_BENCH_SPAWN(ROW) \
    ROW(await_ready) \
    ROW(spawn_co_spawn_ready) \
    ROW(co_await_post) \
    ROW(use_portal_post) \
    ROW(spawn_post) \
    ROW(use_portal_post_ten_deep) \
    ROW(spawn_post_ten_deep) \
    ROW(co_spawn_child) \
    ROW(co_spawn_with_portal_run_sync) \
    ROW(spawn_nothing)

/// … and for what bench/spawn.cpp measures besides, so that there is a column for Boost.Asio. Counted in another program:
/// more rows in one would change how much of the others is inlined.
#define GREENBACK_BENCH_ON_BOOST_ASIO(ROW) \
    ROW(co_await_ready) \
    ROW(await_post) \
    ROW(co_await_post_ten_deep) \
    ROW(co_await_child) \
    ROW(with_portal_run_sync_nothing)
