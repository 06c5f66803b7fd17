// SPDX-License-Identifier: MIT
//
// Programs: trees of things that a task can do, and what makes them up.
#pragma once

#include "stress/decisions.hpp"

#include <cstddef>
#include <iterator>
#include <vector>

namespace stress {

enum class op {
    value,     // something to be seen
    ready,     // await a coroutine that does not suspend
    yield,     // await an asio::post
    sleep,     // await a timer
    foreign,   // await an awaiter that is not Asio's
    fail,      // throw
    cancel,    // the task requests its own cancellation
    set_throw, // this_coro::throw_if_cancelled(...)
    reset,     // this_coro::reset_cancellation_state(...)
    state,     // look at both
    lose,      // await an operation whose handler is destroyed: the task, and those that wait for it, go with it
    sequence,  // one child after the other
    call,      // call the child as a function or a coroutine
    attempt,   // try { child 0 } catch (...) { child 1, and perhaps `throw;` }
    scope,     // child 0, then child 1 in the destructor of a local variable
    spawn,     // run the child as a task of its own, and wait for it
    spawn_two, // the same for two at once
    either,    // child 0 || child 1
    both,      // child 0 && child 1
};

// Awaiting a node checks for cancellation first, as any co_await does. Further checks before the node does anything
// else find the same, so that it makes no difference how many calls and coroutines lead to it.
struct node {
    op what;
    unsigned value; // means the same to both interpreters
    unsigned how;   // of no meaning to the model: which of the equivalent ways to go
    std::vector<node> children;

    bool choose(unsigned n, unsigned bit) const { return (how >> bit) % n == 0; }
    bool is_leaf() const { return what < op::sequence; }
};

/// What programs may consist of.
struct program_limits {
    int depth = 7;
    unsigned leaves = 6; // below the second level, one node of so many is a leaf
    // Asio's parallel_group touches the waiting task after it has started the others: that takes a strand or one thread.
    bool groups = true;
    // What comes out differs with the order of events, which a model has only where it is the same order: on one thread,
    // with a manual clock.
    bool ordered = false;
};

template <class Decisions> class generator {
public:
    generator(Decisions& decisions, program_limits limits) : decisions_(decisions), limits_(limits) {}

    std::vector<node> programs(unsigned count) {
        std::vector<node> all;
        all.reserve(count);
        while (all.size() != count)
            all.push_back(program(limits_.depth));
        return all;
    }

private:
    // Those that are not for every program stand last.
    static constexpr op leaves[] = {op::value,  op::ready, op::yield,     op::yield,   op::sleep, op::fail, op::fail,
                                    op::cancel, op::reset, op::set_throw, op::foreign, op::state, op::lose};
    static constexpr op inner[] = {op::sequence,  op::sequence, op::sequence, op::call,  op::call,
                                   op::call,      op::attempt,  op::attempt,  op::scope, op::spawn,
                                   op::spawn_two, op::either,   op::both};

    op leaf() { return leaves[decisions_.below(unsigned(std::size(leaves)) - (limits_.ordered ? 0 : 1))]; }
    op branch() {
        unsigned const left_out = (limits_.ordered ? 0 : 2) + (limits_.groups ? 0 : 1);
        return inner[decisions_.below(unsigned(std::size(inner)) - left_out)];
    }

    node program(int depth) {
        bool const is_leaf =
            depth == 0 || decisions_.at_end() || (depth < limits_.depth - 1 && decisions_.below(limits_.leaves) == 0);
        op const what = depth == limits_.depth ? op::sequence : is_leaf ? leaf() : branch();
        node n{what, decisions_.below(256), decisions_.bits(), {}};
        unsigned const count = n.is_leaf()                                 ? 0
                               : n.what == op::call || n.what == op::spawn ? 1
                               : n.what == op::sequence                    ? 2 + decisions_.below(3)
                                                                           : 2;
        n.children.reserve(count);
        for (unsigned i = 0; i != count; ++i)
            n.children.push_back(program(depth - 1));
        return n;
    }

    Decisions& decisions_;
    program_limits limits_;
};

} // namespace stress
