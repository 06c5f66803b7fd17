// SPDX-License-Identifier: MIT
// The switch itself, below everything that knows of tasks.

#include "support/asio.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/sanitizers.hpp"
#include "support/tasks.hpp"

#include <greenback/detail/fiber/fiber.hpp>
#include <greenback/detail/fiber/thread_state.hpp>

#include <array>
#include <cfenv>
#include <cmath>
#include <string>
#include <vector>

using namespace greenback::detail;
using test::contains;
using test::in_child;
using test::outcome;

namespace {

/// A job that notes its steps, going out between them.
struct steps {
    fiber& on;
    std::vector<std::string> log;

    static void run(void* self) {
        auto& s = *static_cast<steps*>(self);
        s.log.push_back("first");
        switch_out(s.on);
        s.log.push_back("second");
        switch_out(s.on);
        s.log.push_back("third");
    }
};

fiber& started(steps& s) {
    s.on.start(&steps::run, &s);
    return s.on;
}

/// On x86, to the top of the x87 unit's stack: no function saves that.
[[gnu::always_inline]] inline void in_a_register([[maybe_unused]] long double& x) {
#if defined(__x86_64__)
    asm volatile("" : "+t"(x));
#endif
}

[[gnu::noinline]] void write_at(char volatile* where, int index) { where[index] = 1; }

} // namespace

TEST_CASE("a fiber runs its job piece by piece", "[fiber]") {
    thread_state& here = this_thread();
    steps s{borrow_fiber(here), {}};
    fiber& f = started(s);
    switch_in(f);
    CHECK(s.log == std::vector<std::string>{"first"});
    switch_in(f);
    CHECK(s.log == std::vector<std::string>{"first", "second"});
    switch_in(f);
    CHECK(s.log == std::vector<std::string>{"first", "second", "third"});
    return_fiber(here, f);
}

TEST_CASE("a fiber that has ended its job is the next one to be borrowed, and runs another", "[fiber]") {
    thread_state& here = this_thread();
    steps first{borrow_fiber(here), {}};
    started(first);
    for (int i = 0; i < 3; ++i)
        switch_in(first.on);
    return_fiber(here, first.on);
    fiber& again = borrow_fiber(here);
    CHECK(&again == &first.on);
    steps second{again, {}};
    started(second);
    for (int i = 0; i < 3; ++i)
        switch_in(again);
    CHECK(second.log.size() == 3);
    return_fiber(here, again);
}

TEST_CASE("a fiber knows its own stack", "[fiber]") {
    thread_state& here = this_thread();
    fiber& f = borrow_fiber(here);
    int on_this_stack = 0;
    CHECK_FALSE(f.holds(&on_this_stack));
    struct job {
        fiber& on;
        bool held = false;
        static void run(void* self) {
            int local = 0;
            auto& j = *static_cast<job*>(self);
            j.held = j.on.holds(&local);
        }
    } j{f};
    f.start(&job::run, &j);
    switch_in(f);
    CHECK(j.held);
    return_fiber(here, f);
}

TEST_CASE("registers and the rounding mode survive a switch on both sides", "[fiber]") {
    thread_state& here = this_thread();
    struct job {
        fiber& on;
        double inside = 0;
        static void run(void* self) {
            auto& j = *static_cast<job*>(self);
            double volatile a = 1, b = 3;
            double kept = a / b; // in a register across the switch, if the compiler likes
            switch_out(j.on);
            j.inside = kept * b;
        }
    } j{borrow_fiber(here)};
    j.on.start(&job::run, &j);
    double volatile x = 2, y = 7;
    double kept = x / y;
    int const rounding = std::fegetround();
    switch_in(j.on);
    CHECK(std::abs(kept * y - 2) < 1e-9);
    CHECK(std::fegetround() == rounding);
    switch_in(j.on);
    CHECK(std::abs(j.inside - 1) < 1e-9);
    return_fiber(here, j.on);
}

TEST_CASE("a long double that is kept across a switch stays on its own side", "[fiber]") {
    thread_state& here = this_thread();
    struct job {
        fiber& on;
        long double volatile mine;
        long double inside = 0;
        static void run(void* self) {
            auto& j = *static_cast<job*>(self);
            long double kept = j.mine / 4;
            in_a_register(kept);
            switch_out(j.on);
            j.inside = kept;
        }
    };
    job first{borrow_fiber(here), 1}, second{borrow_fiber(here), 2};
    first.on.start(&job::run, &first);
    second.on.start(&job::run, &second);
    long double volatile x = 3, y = 8;
    long double kept = x / y;
    in_a_register(kept);
    switch_in(first.on);
    switch_in(second.on);
    switch_in(first.on);
    CHECK(kept == 0.375L);
    switch_in(second.on);
    CHECK(first.inside == 0.25L);
    CHECK(second.inside == 0.5L);
    return_fiber(here, second.on);
    return_fiber(here, first.on);
}

TEST_CASE("AddressSanitizer sees a stack buffer overflow on a fiber", "[fiber]") {
#if defined(TEST_UNDER_ASAN)
    const outcome result = in_child([] {
        test::run_task(greenback::with_portal_run_sync([] {
            asio::post(greenback::await_(asio::this_coro::executor),
                       greenback::use_portal); // on a stack that was switched
            char volatile buffer[16] = {};
            write_at(buffer, 16);
        }));
        return 0;
    });
    CAPTURE(result.said);
    CHECK_FALSE(result.exited_with(0));
    CHECK(contains(result.said, "stack-buffer-overflow"));
#else
    const outcome result = in_child([] {
        write_at(std::array<char, 16>().data(), 15);
        return 0;
    });
    CHECK(result.exited_with(0));
    CHECK(result.said == "");
#endif
}

#if defined(GREENBACK_ASSERTIONS)
TEST_CASE("where assertions are on, a wrong state ends the program", "[fiber]") {
    outcome const end = in_child([] {
        thread_state& here = this_thread();
        steps s{borrow_fiber(here), {}};
        return_fiber(here, started(s)); // it has a job
        return 0;
    });
    CHECK(end.died_of(SIGABRT));
    CHECK(contains(end.said, "assertion failed: f.is_out() && !f.is_busy()"));
}
#endif
