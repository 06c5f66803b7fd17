// SPDX-License-Identifier: MIT
// Waiting for something in synchronous code, the other ways: Boost.Fiber, and a thread that blocks. Each row is one
// wait that really suspends, for the cheapest thing that its library can wait for, and `*_future` rows are one value
// that somebody else provides.

#include "support/operations.hpp"

#include <benchmark/benchmark.h>
#include <boost/fiber/buffered_channel.hpp>
#include <boost/fiber/fiber.hpp>
#include <boost/fiber/future.hpp>
#include <boost/fiber/operations.hpp>

#include <condition_variable>
#include <future>
#include <mutex>
#include <optional>
#include <thread>

namespace {

// ---- Boost.Fiber: all on one thread, its default scheduler ----

/// Lets `other` run on a second fiber until `stop`, while `body` runs here.
template <class Other, class Body> void beside(Other other, Body body) {
    bool stop = false;
    boost::fibers::fiber f(boost::fibers::launch::dispatch, [&] { other(stop); });
    body();
    stop = true;
    f.join();
}

/// The counterpart of awaiting `post`: to the scheduler and back, with another fiber that does the same.
void fiber_yield(benchmark::State& state) {
    beside(
        [](bool& stop) {
            while (!stop)
                boost::this_fiber::yield();
        },
        [&] {
            for (auto _ : state)
                boost::this_fiber::yield();
        });
}

/// A promise that another fiber fulfils.
void fiber_future(benchmark::State& state) {
    std::optional<boost::fibers::promise<int>> wanted;
    beside(
        [&](bool& stop) {
            while (!stop) {
                if (wanted) {
                    auto promise = std::move(*wanted);
                    wanted.reset();
                    promise.set_value(1);
                }
                boost::this_fiber::yield();
            }
        },
        [&] {
            for (auto _ : state) {
                wanted.emplace();
                int value = wanted->get_future().get();
                bench::keep(value);
            }
        });
}

/// A request through one channel, the answer through another.
void fiber_channel_round_trip(benchmark::State& state) {
    boost::fibers::buffered_channel<int> requests(2), answers(2);
    boost::fibers::fiber server([&] {
        for (int request : requests)
            answers.push(request + 1);
    });
    int value = 0;
    for (auto _ : state) {
        requests.push(value);
        answers.pop(value);
    }
    requests.close();
    server.join();
}

void fiber_made_run_and_joined(benchmark::State& state) {
    for (auto _ : state)
        boost::fibers::fiber(bench::nothing).join();
}

// ---- threads that block ----

/// A thread of its own for each wait.
void thread_async(benchmark::State& state) {
    for (auto _ : state) {
        int value = std::async(std::launch::async, [] { return 1; }).get();
        bench::keep(value);
    }
}

/// A promise handed over to a thread that is there already, as the event loop would be.
void thread_future(benchmark::State& state) {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<std::promise<int>> wanted;
    bool stop = false;
    std::thread server([&] {
        std::unique_lock lock(mutex);
        for (;;) {
            changed.wait(lock, [&] { return wanted || stop; });
            if (stop)
                return;
            auto promise = std::move(*wanted);
            wanted.reset();
            lock.unlock();
            promise.set_value(1);
            lock.lock();
        }
    });
    for (auto _ : state) {
        std::promise<int> promise;
        std::future<int> future = promise.get_future();
        {
            std::lock_guard lock(mutex);
            wanted = std::move(promise);
        }
        changed.notify_one();
        int value = future.get();
        bench::keep(value);
    }
    {
        std::lock_guard lock(mutex);
        stop = true;
    }
    changed.notify_one();
    server.join();
}

// A wait on another thread has no CPU time of its own worth reporting: real time for all.
#define ROW(function, name) BENCHMARK(function)->Name(name)->UseRealTime();
ROW(bench::co_await_post<benchmark::State>, "co_await_post")
ROW(bench::await_post<benchmark::State>, "await_post")
ROW(bench::use_portal_post<benchmark::State>, "use_portal_post")
ROW(bench::co_spawn_with_portal_run_sync<benchmark::State>, "co_spawn_with_portal_run_sync")
ROW(fiber_yield, "fiber_yield")
ROW(fiber_future, "fiber_future")
ROW(fiber_channel_round_trip, "fiber_channel_round_trip")
ROW(fiber_made_run_and_joined, "fiber_made_run_and_joined")
ROW(thread_async, "thread_async")
ROW(thread_future, "thread_future")

} // namespace

BENCHMARK_MAIN();
