// SPDX-License-Identifier: MIT
//
// Random programs, run twice: as plain coroutines that know nothing of greenback (the model), and as a mixture of
// coroutines and synchronous functions on portals of every kind. Both must do, and throw, the same things.

#include "stress/decisions.hpp"
#include "stress/events.hpp"
#include "stress/program.hpp"
#include "stress/runs.hpp"
#include "stress/scenario.hpp"
#include "support/catch.hpp"
#include "support/event_loop.hpp"
#include "support/sanitizers.hpp"

#include <cstdint>
#include <cstdlib>
#include <list>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace {

// In real time: what comes out must not depend on which of several tasks is first.
std::vector<stress::node> make_programs(unsigned seed, unsigned count, bool groups = true) {
    stress::random_decisions decisions(seed);
    stress::program_limits limits;
    limits.groups = groups;
    return stress::generator(decisions, limits).programs(count);
}

struct run {
    stress::world all;
    stress::task outside{all};
    std::list<stress::task> tasks;
};
using run_owner = std::unique_ptr<run>;

template <class How> run_owner run_on_one_thread(std::vector<stress::node> const& programs) {
    auto r = std::make_unique<run>();
    asio::io_context context(1);
    stress::start_all<How>(r->tasks, r->all, r->outside, programs, [&] { return context.get_executor(); });
    test::run_all(context);
    return r;
}

// The tasks' cancellation signals may hold strands, which must be gone before `pool` is.
template <class How>
run_owner run_on_threads(asio::thread_pool& pool, std::vector<stress::node> const& programs, bool strands) {
    auto r = std::make_unique<run>();
    asio::any_io_executor const bare = pool.get_executor();
    stress::start_all<How>(r->tasks, r->all, r->outside, programs,
                           [&] { return strands ? asio::make_strand(bare) : bare; });
    pool.join();
    return r;
}

void check_nothing_left() {
    char const* const expected = stress::violated.exchange(nullptr);
    CHECK(std::string(expected ? expected : "") == "");
    CHECK(stress::alive.exchange(0) == 0);
    CHECK(greenback::stats().live == 0);
}

void check_same(run const& expected, run const& actual) {
    auto a = actual.tasks.begin();
    int number = 0;
    for (stress::task const& e : expected.tasks) {
        CAPTURE(number++);
        CHECK(stress::difference(e.log, (a++)->log) == "");
    }
    check_nothing_left();
}

// The one in the environment alone, if there is one.
std::vector<unsigned> seeds() {
    if (char const* const s = std::getenv("GREENBACK_TEST_SEED"))
        return {static_cast<unsigned>(std::strtoul(s, nullptr, 10))};
    return {1, 2, 3, std::random_device()()};
}

constexpr unsigned number_of_tasks = test::sanitized ? 60 : 300;

} // namespace

#if defined(TEST_UNDER_TSAN)
// The last owner of an exception frees it; the counter that makes it the last is in libstdc++, where TSan can't see it.
extern "C" char const* __tsan_default_suppressions() {
    return "race:std::__exception_ptr::exception_ptr::_M_release\n";
}
#endif

TEST_CASE("random programs give what plain co_await gives, on one thread", "[random]") {
    for (unsigned const seed : seeds()) {
        CAPTURE(seed);
        auto const programs = make_programs(seed, number_of_tasks);
        auto const expected = run_on_one_thread<stress::model>(programs);
        auto const actual = run_on_one_thread<stress::mixed>(programs);
        check_same(*expected, *actual);
    }
}

TEST_CASE("random programs give what plain co_await gives, on four threads", "[random]") {
    for (unsigned const seed : seeds()) {
        for (bool const strands : {true, false}) {
            CAPTURE(seed, strands);
            auto const programs = make_programs(seed, number_of_tasks / 2, strands);
            auto const expected = run_on_one_thread<stress::model>(programs);
            asio::thread_pool pool(4);
            auto const actual = run_on_threads<stress::mixed>(pool, programs, strands);
            check_same(*expected, *actual);
        }
    }
}

TEST_CASE("random programs destroyed half way leave nothing behind", "[random]") {
    for (unsigned const seed : seeds()) {
        std::mt19937 random(seed);
        for (int round = 0; round != 10; ++round) {
            auto const programs = make_programs(static_cast<unsigned>(random()), number_of_tasks / 10);
            auto const handlers = random() % (2 * number_of_tasks);
            CAPTURE(seed, round, handlers);
            run r; // lives longer than what refers to it from the event loop
            {
                asio::io_context context(1);
                stress::start_all<stress::mixed>(r.tasks, r.all, r.outside, programs,
                                                 [&] { return context.get_executor(); });
                for (unsigned i = 0; i != handlers && context.run_one(); ++i)
                    ;
                r.all.tearing_down = true;
            }
            check_nothing_left();
        }
    }
}

TEST_CASE("random programs, cancelled and destroyed at any moment, do things in the order of plain co_await",
          "[random]") {
    for (unsigned const seed : seeds()) {
        std::mt19937 random(seed);
        for (unsigned round = 0; round != number_of_tasks; ++round) {
            unsigned const scenario_seed = static_cast<unsigned>(random());
            CAPTURE(seed, round, scenario_seed);
            stress::random_decisions decisions(scenario_seed);
            CHECK(stress::find_difference(stress::make_scenario(decisions)) == "");
        }
    }
}
