// SPDX-License-Identifier: MIT
//
// A few programs at once on one thread, by a manual clock: cancelled from outside and destroyed at any moment. All that
// they do must come in the same order as it does in the model.
#pragma once

#include "stress/decisions.hpp"
#include "stress/events.hpp"
#include "stress/manual_clock.hpp"
#include "stress/program.hpp"
#include "stress/runs.hpp"
#include "stress/task.hpp"

#include <greenback/diagnostics.hpp>

#include <list>
#include <string>
#include <utility>
#include <vector>

namespace stress {

/// What is done to tasks from outside: after so many ticks of the clock, and so many turns of the event loop.
struct intervention {
    unsigned ticks, turns;
    unsigned task;
    unsigned how; // to cancel it
};

struct scenario {
    std::vector<intervention> cancellations;
    bool destroyed; // by an end of the event loop, at:
    intervention end;
    std::vector<node> programs;
};

template <class Decisions> scenario make_scenario(Decisions& decisions) {
    auto const make = [&] {
        unsigned const when = decisions.below(256), what = decisions.below(256);
        return intervention{when % 4, when / 4 % 16, what % 4, what / 4 % 4};
    };
    scenario s{};
    unsigned const shape = decisions.below(256);
    unsigned const tasks = 1 + shape % 3, cancellations = shape / 4 % 4;
    for (unsigned i = 0; i != cancellations; ++i)
        s.cancellations.push_back(make());
    s.destroyed = shape / 16 % 4 == 3;
    if (s.destroyed)
        s.end = make();
    program_limits limits;
    limits.depth = 6;
    limits.leaves = 2;
    limits.ordered = true;
    s.programs = generator(decisions, limits).programs(tasks);
    return s;
}

/// Handlers that post the next one: with each, everybody else has had a turn.
template <class F> struct turns {
    asio::io_context& context;
    unsigned left;
    F then;
    void operator()(test::error_code = {}) {
        if (left-- == 0)
            return then();
        asio::post(context, std::move(*this));
    }
};

template <class F> void after(asio::io_context& context, manual_clock& clock, intervention const& when, F then) {
    turns<F> chain{context, when.turns, std::move(then)};
    if (when.ticks == 0)
        asio::post(context, std::move(chain));
    else
        clock.async_wait(context.get_executor(), when.ticks, std::move(chain));
}

/// @param order what happened, in its order
template <class How> void run_scenario(scenario const& s, event_log& order) {
    late_resumptions late;
    std::list<task> tasks;
    world all;
    all.order = &order;
    all.late = &late;
    task outside(all);
    asio::io_context context(1);
    manual_clock& clock = asio::use_service<manual_clock>(context);
    all.clock = &clock;
    bool ended = false;
    start_all<How>(tasks, all, outside, s.programs, [&] { return context.get_executor(); });
    for (intervention const& c : s.cancellations)
        after(context, clock, c, [&] {
            if (auto t = tasks.begin(); c.task < tasks.size()) {
                std::advance(t, c.task);
                t->cancel(c.how);
            }
        });
    if (s.destroyed)
        after(context, clock, s.end, [&] {
            ended = true;
            context.stop();
        });
    do {
        context.restart();
        context.poll();
    } while (!ended && clock.advance());
    all.tearing_down = true;
}

/// @returns what is not as in the model, or not as it should be; nothing, if all is well
inline std::string find_difference(scenario const& s) {
    static event_log expected, actual; // keep their memory
    expected.clear();
    actual.clear();
    run_scenario<model>(s, expected);
    violated = nullptr; // the model has no portals
    if (int const n = alive.exchange(0))
        return "the model has lost " + std::to_string(n) + " calls";
    run_scenario<mixed>(s, actual);
    std::string text = difference(expected, actual);
    if (char const* const expectation = violated.exchange(nullptr))
        text += std::string(" not so: ") + expectation;
    if (int const n = alive.exchange(0))
        text += " lost calls: " + std::to_string(n);
    if (auto const n = greenback::stats().live)
        text += " live portals: " + std::to_string(n);
    return text;
}

} // namespace stress
