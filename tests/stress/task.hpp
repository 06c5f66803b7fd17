// SPDX-License-Identifier: MIT
//
// What a program knows of itself while it runs.
#pragma once

#include "stress/events.hpp"
#include "stress/manual_clock.hpp"

#include <atomic>
#include <exception>
#include <list>
#include <memory>
#include <utility>

namespace stress {

inline std::atomic<int> alive;
inline std::atomic<char const*> violated; // what was expected, last

/// Counts the calls and coroutines there are: none is lost.
struct counted {
    counted() { ++alive; }
    counted(counted const&) { ++alive; }
    ~counted() { --alive; }
};

/// What the tasks of a run have in common.
struct world {
    manual_clock* clock = nullptr;    // null: real time
    late_resumptions* late = nullptr; // with a clock
    event_log* order = nullptr;       // with a clock: what all tasks do, in the order in which they do it
    bool tearing_down = false;        // tasks are not going on but being destroyed; false wherever there are threads
};

struct task {
    explicit task(world& in) : all(&in) {}
    task(task& started_by, unsigned n) : all(started_by.all), parent(&started_by), number(n) {}

    world* all;
    task* parent = nullptr;
    unsigned number = 0; // the parent's, and which of its children
    event_log log;
    asio::cancellation_signal own_signal;
    asio::cancellation_signal* signal = &own_signal; // null: nobody may cancel it
    std::list<task> children;
    bool lost = false; // being destroyed, or about to be
    // What the program expects of has_portal().
    bool task_wide = false;
    int scoped = 0, trees = 0;
    bool alone = true; // on its stack: not started inside of somebody else's co_spawn, where one cannot always tell
    // A portal to be used again and again.
    std::unique_ptr<greenback::portal> kept;
    bool kept_in_use = false;

    bool ending() const { return lost || all->tearing_down; }

    // What is done while it is destroyed is not in the model, and no part of the log.
    void note(event e) {
        if (ending())
            return;
        e.task = number;
        (all->order ? *all->order : log).push_back(e);
    }
    void note(char const* what, unsigned n = 0) { note(event{0, what, "", n}); }
    void note(char const* what, std::exception_ptr const& e) { note(describe(what, e)); }
    void expect(bool ok, char const* what) {
        if (!ok)
            violated = what;
    }
    bool portal() const { return task_wide || scoped != 0; }
    void expect_portal() {
        if (ending() || (alone && !portal()))
            expect(!greenback::has_portal(), "no portal here");
        else if (portal())
            expect(greenback::has_portal(), "a portal here");
    }
    void cancel(unsigned how) {
        constexpr asio::cancellation_type types[] = {asio::cancellation_type::terminal,
                                                     asio::cancellation_type::terminal,
                                                     asio::cancellation_type::partial, asio::cancellation_type::total};
        if (signal && !ending())
            signal->emit(types[how % 4]);
    }
    void lose() {
        for (task* t = this; t; t = t->parent)
            t->lost = true;
    }
    // What it logs joins this log where the parent has seen its end.
    task& child(asio::cancellation_signal* inherited, bool own) {
        task& c = children.emplace_back(*this, 10 * number + static_cast<unsigned>(children.size()) + 1);
        if (!own)
            c.signal = inherited;
        return c;
    }
    void take_log(task& c) {
        log.insert(log.end(), c.log.begin(), c.log.end());
        c.log.clear();
    }
};

struct join_log {
    task& parent;
    task& child;
    ~join_log() { parent.take_log(child); }
};

} // namespace stress
