// SPDX-License-Identifier: MIT
//
// Programs as a mixture of coroutines and synchronous functions, at random: what stands against the model.
#pragma once

#include "stress/plain.hpp"
#include "stress/task.hpp"

#include <exception>

namespace stress {

using greenback::await_;
using greenback::has_portal;
using greenback::use_portal;

/// Everything that a node does, from synchronous code. In synchronous.hpp.
unsigned run_sync(task& t, node const& n);

struct mixed {
    static awaitable<unsigned> run(task& t, node const& n);

    static awaitable<unsigned> start(task& parent, task& child, node const& n) {
        child.trees = parent.trees != 0;
        bool const bestowed = n.choose(4, 20);
        child.task_wide = child.trees || bestowed;
        child.alone = n.choose(2, 22);
        auto whole = whole_task<mixed>(child, n);
        return bestowed ? greenback::bestow_portal(std::move(whole)) : std::move(whole);
    }
};

// Every way to have a coroutine run something. In portal_kinds.hpp.
awaitable<unsigned> call_async(task& t, node const& n, unsigned how);

// A child of a node from synchronous code.
inline unsigned run_child_itself(task& t, node const& n) {
    return n.choose(2, 9) ? run_sync(t, n) : await_(mixed::run(t, n));
}
inline unsigned run_child(task& t, node const& n) {
    if (!n.choose(8, 12))
        return run_child_itself(t, n);
    greenback::exception_trap trap; // as if there were a C library between
    unsigned const result = trap.run([&] { return run_child_itself(t, n); }, 0U);
    trap.rethrow();
    return result;
}

inline unsigned handle(task& t, node const& n) {
    auto const caught = std::current_exception();
    t.note("caught", caught);
    unsigned const result = run_child(t, n);
    t.expect(std::current_exception() == caught, "the current exception is the one that was caught");
    return result;
}

class awaiting_destructor {
public:
    awaiting_destructor(task& t, node const& n) : task_(t), node_(n) {}
    awaiting_destructor(awaiting_destructor const&) = delete;
    ~awaiting_destructor() {
        int const now = std::uncaught_exceptions();
        task_.note(now > before_ ? "leaves, unwinding" : "leaves");
        task_.expect_portal();
        if (!has_portal())
            return;
        try {
            run_child(task_, node_);
        } catch (...) {
            task_.note("swallows", std::current_exception());
        }
        task_.expect(std::uncaught_exceptions() == now, "as many uncaught exceptions as before the await");
    }

private:
    task& task_;
    node const& node_;
    int before_ = std::uncaught_exceptions();
};

inline awaitable<unsigned> mixed::run(task& t, node const& n) {
    counted const c;
    t.expect_portal();
    if (t.portal() && n.choose(3, 0))
        co_return run_sync(t, n);
    if (n.what == op::call) {
        unsigned const result = co_await call_async(t, n.children[0], n.how >> 4);
        t.note("called", result);
        co_return result + 1;
    }
    if (n.what == op::attempt && t.portal()) {
        try {
            co_return co_await run(t, n.children[0]);
        } catch (...) {
            unsigned const result = handle(t, n.children[1]);
            if (n.value % 2)
                throw;
            co_return result;
        }
    }
    if (n.what == op::scope && t.portal()) {
        awaiting_destructor const d(t, n.children[1]);
        co_return co_await run(t, n.children[0]);
    }
    if (n.is_leaf() && t.portal() && t.alone && n.choose(4, 8)) { // a co_await is not forbidden
        greenback::no_await_scope const s("the node is being run");
        t.expect(!has_portal(), "nothing can be awaited in a no_await_scope of a coroutine");
        co_return co_await run_plainly<mixed>(t, n);
    }
    unsigned const result = co_await run_plainly<mixed>(t, n);
    t.expect_portal();
    co_return result;
}

} // namespace stress
