// SPDX-License-Identifier: MIT
//
// Every kind of portal that a coroutine can make for what it calls.
#pragma once

#include "stress/mixed.hpp"

#include <functional>
#include <memory>
#include <utility>

namespace stress {

// A portal that ends with this scope, as far as `t` knows.
struct portal_scope {
    task& t;
    bool tree;
    explicit portal_scope(task& in, bool is_tree = false) : t(in), tree(is_tree) {
        ++t.scoped;
        t.trees += tree;
    }
    portal_scope(portal_scope const&) = delete;
    ~portal_scope() {
        --t.scoped;
        t.trees -= tree;
    }
};

inline unsigned scoped_sync(task& t, node const& n) {
    portal_scope const s(t);
    return run_sync(t, n);
}
inline awaitable<unsigned> scoped_async(task& t, node const& n, bool tree) {
    portal_scope const s(t, tree);
    t.expect_portal();
    co_return co_await mixed::run(t, n);
}

struct in_use {
    task& owner;
    explicit in_use(task& t) : owner(t) { owner.kept_in_use = true; }
    in_use(in_use const&) = delete;
    ~in_use() { owner.kept_in_use = false; }
};

// A portal object that the task keeps, from its first use on; now and then it moves.
inline awaitable<unsigned> run_on_kept(task& t, node const& n, bool moves) {
    if (t.kept_in_use) // so there is a portal in force
        co_return co_await mixed::run(t, n);
    if (!t.kept)
        t.kept = std::make_unique<greenback::portal>();
    else if (moves)
        t.kept = std::make_unique<greenback::portal>(std::move(*t.kept));
    in_use const u(t);
    co_return co_await t.kept->run(scoped_sync, std::ref(t), std::cref(n));
}

// The parent's is in use while it waits for this task inside of it.
inline awaitable<unsigned> find_parents_busy(task& t, node const& n) {
    if (t.parent && t.parent->kept_in_use && !t.parent->lost && t.alone && !t.portal()) {
        bool busy = false;
        try {
            co_await t.parent->kept->run(scoped_sync, std::ref(t), std::cref(n));
        } catch (greenback::portal_busy const&) {
            busy = true;
        }
        t.expect(busy, "portal_busy where another task runs on it");
    }
    co_return co_await mixed::run(t, n);
}

inline awaitable<unsigned> call_async(task& t, node const& n, unsigned how) {
    counted const c;
    bool const suspends = !t.all->order && n.how % 2;
    switch (how % 12) {
    case 0: co_return co_await mixed::run(t, n);
    case 1: co_return co_await greenback::with_portal_run_sync(scoped_sync, std::ref(t), std::cref(n));
    case 2: {
        greenback::portal p;
        co_await p.run([suspends] { await_(test::yield_if(suspends)); });
        co_return co_await p.run(scoped_sync, std::ref(t), std::cref(n));
    }
    case 3: co_return co_await greenback::with_portal_run(scoped_async, std::ref(t), std::cref(n), false);
    case 4: co_return co_await greenback::bestow_portal(scoped_async(t, n, false));
    case 5: co_return co_await greenback::with_portal_run_tree(scoped_async, std::ref(t), std::cref(n), true);
    case 6:
    case 7: co_return co_await run_on_kept(t, n, how % 12 == 7);
    case 8: co_return co_await find_parents_busy(t, n);
    case 9:
        co_return co_await greenback::with_portal_run_sync(std::allocator_arg, greenback::pooled_stack(1 << 20),
                                                           scoped_sync, std::ref(t), std::cref(n));
    default:
        co_await greenback::ensure_portal();
        t.task_wide = t.task_wide || !t.portal();
        t.expect_portal();
        co_return co_await mixed::run(t, n);
    }
}

} // namespace stress
