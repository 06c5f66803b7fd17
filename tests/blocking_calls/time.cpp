// SPDX-License-Identifier: MIT
//
// sleep and its relatives.
#include "blocking_calls/support.hpp"
#include "support/catch.hpp"
#include "support/sanitizers.hpp"

#include <array>
#include <chrono>
#include <ctime>
#include <limits>
#include <ostream>
#include <string>
#include <thread>

using namespace test;
using std::chrono::steady_clock;

namespace {

timespec in(clockid_t clock, long milliseconds) {
    timespec t;
    ::clock_gettime(clock, &t);
    t.tv_nsec += milliseconds * 1'000'000;
    t.tv_sec += t.tv_nsec / 1'000'000'000;
    t.tv_nsec %= 1'000'000'000;
    return t;
}

/// A way to sleep for 20 ms. @returns 0
struct way_to_sleep {
    char const* name;
    int (*sleep)();
    friend std::ostream& operator<<(std::ostream& out, way_to_sleep const& w) { return out << w.name; }
};

constexpr timespec a_while{0, 20'000'000};
constexpr std::array ways_to_sleep{
    way_to_sleep{"usleep", [] { return ::usleep(20'000); }},
    way_to_sleep{"nanosleep", [] { return ::nanosleep(&a_while, nullptr); }},
    way_to_sleep{"clock_nanosleep", [] { return ::clock_nanosleep(CLOCK_MONOTONIC, 0, &a_while, nullptr); }},
    way_to_sleep{"clock_nanosleep of real time",
                 [] { return ::clock_nanosleep(CLOCK_REALTIME, 0, &a_while, nullptr); }},
    way_to_sleep{"clock_nanosleep until",
                 [] {
                     timespec const t = in(CLOCK_MONOTONIC, 20);
                     return ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, nullptr);
                 }},
    way_to_sleep{"clock_nanosleep until, in real time",
                 [] {
                     timespec const t = in(CLOCK_REALTIME, 20);
                     return ::clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &t, nullptr);
                 }},
    way_to_sleep{"sleep_for",
                 [] {
                     std::this_thread::sleep_for(std::chrono::milliseconds(20));
                     return 0;
                 }},
};

} // namespace

TEST_CASE("a sleeping task lets others run, and sleeps long enough") {
    auto const way = GENERATE(from_range(ways_to_sleep));
    CAPTURE(way);
    awaits_since const awaits;
    std::string order;
    auto const start = steady_clock::now();
    together(
        [&] {
            CHECK(way.sleep() == 0);
            order += 's';
        },
        [&] { order += 'o'; });
    CHECK(order == "os");
    CHECK(awaits.count() > 0);
    CHECK(steady_clock::now() - start >= std::chrono::milliseconds(19)); // real time may be set meanwhile
}

TEST_CASE("sleep") {
    auto const start = steady_clock::now();
    awaits_since const awaits;
    together([] { CHECK(::sleep(1) == 0); });
    CHECK(awaits.count() > 0);
    CHECK(steady_clock::now() - start >= std::chrono::seconds(1));
}

TEST_CASE("many sleep at once on one thread") {
    constexpr int count = sanitized ? 100 : 1000;
    asio::io_context context(1);
    int woken = 0;
    auto const start = steady_clock::now();
    for (int i = 0; i != count; ++i) {
        spawn(context, on_portal([&] {
                  ::usleep(500'000);
                  ++woken;
              }));
    }
    run_all(context);
    CHECK(woken == count);
    CHECK(steady_clock::now() - start < std::chrono::milliseconds(500) * count / 3);
}

TEST_CASE("no time at all is no reason to wait") {
    awaits_since const awaits;
    together([] {
        timespec const none{0, 0};
        CHECK(::sleep(0) == 0);
        CHECK(::usleep(0) == 0);
        CHECK(::nanosleep(&none, nullptr) == 0);
        CHECK(::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &none, nullptr) == 0); // long past
    });
    CHECK(awaits.count() == 0);
}

TEST_CASE("a loop that sleeps for no time lets others run now and then") {
    auto const end = steady_clock::now() + std::chrono::seconds(20);
    bool others_have_run = false;
    together(
        [&] {
            while (!others_have_run && steady_clock::now() < end)
                ::usleep(0);
            CHECK(others_have_run);
        },
        [&] { others_have_run = true; });
}

TEST_CASE("times that are none fail as ever") {
    together([] {
        for (timespec const bad : {timespec{0, 1'000'000'000}, timespec{0, -1}, timespec{-1, 0}}) {
            CHECK(failed_with(::nanosleep(&bad, nullptr), EINVAL));
            CHECK(::clock_nanosleep(CLOCK_MONOTONIC, 0, &bad, nullptr) == EINVAL);
        }
        timespec const t{0, 1};
        CHECK(::clock_nanosleep(12345, 0, &t, nullptr) == EINVAL);
    });
}

TEST_CASE("no sleep is interrupted by signals") {
    interval_timer const timer;
    together(
        [] {
            for (way_to_sleep const& way : ways_to_sleep)
                CHECK(way.sleep() == 0);
        },
        [] { CHECK(::sleep(1) == 0); });
}

TEST_CASE("a sleep of ages can be ended by cancelling the task") {
    asio::io_context context(1);
    asio::cancellation_signal signal;
    bool ended = false;
    asio::co_spawn(context, on_portal([&] {
                       timespec const ages{std::numeric_limits<time_t>::max(), 0};
                       timespec left{};
                       CHECK(failed_with(::nanosleep(&ages, &left), ECANCELED));
                       CHECK(left.tv_sec > 0);
                       CHECK(::sleep(1000) == 1000);
                       ended = true;
                   }),
                   asio::bind_cancellation_slot(signal.slot(), asio::detached));
    asio::post(context, [&] { signal.emit(asio::cancellation_type::terminal); });
    run_all(context);
    CHECK(ended);
}
