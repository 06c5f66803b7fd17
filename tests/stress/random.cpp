// SPDX-License-Identifier: MIT
//
// Random programs, run twice: as plain coroutines that know nothing of greenback (the model), and as a mixture of
// coroutines and synchronous functions on portals of every kind. Both must do, and throw, the same things.

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/event_loop.hpp"
#include "support/sanitizers.hpp"
#include "support/tasks.hpp"

#include <greenback/diagnostics.hpp>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <list>
#include <memory>
#include <random>
#include <string>
#include <vector>

using asio::awaitable;
using asio::use_awaitable;
using greenback::await_;
using greenback::has_portal;
using greenback::use_portal;

namespace {

// ---- programs
// --------------------------------------------------------------------------------------------------------

enum class op {
    value,     // something to be seen
    ready,     // await a coroutine that does not suspend
    yield,     // await an asio::post
    sleep,     // await a timer
    fail,      // throw
    cancel,    // the task requests its own cancellation
    set_throw, // this_coro::throw_if_cancelled(...)
    reset,     // this_coro::reset_cancellation_state()
    state,     // look at both
    sequence,  // one child after the other
    call,      // call the child as a function or a coroutine
    attempt,   // try { child 0 } catch (...) { child 1, and perhaps `throw;` }
    scope,     // child 0, then child 1 in the destructor of a local variable
    spawn,     // run the child as a task of its own, and wait for it
    spawn_two, // the same for two at once
};

// Awaiting a node checks for cancellation first, as any co_await does. Further checks before the node does anything
// else find the same, so that it makes no difference how many calls and coroutines lead to it.
struct node {
    op what;
    unsigned value; // means the same to both interpreters
    unsigned how;   // of no meaning to the model: which of the equivalent ways to go
    std::vector<node> children;

    bool choose(unsigned n, unsigned bit) const { return (how >> bit) % n == 0; }
};

class generator {
public:
    // Asio's parallel_group touches the waiting task after it has started the others: that takes a strand or one
    // thread.
    explicit generator(unsigned seed, bool with_spawn_two = true) : random_(seed), last_(with_spawn_two ? 0 : 1) {}

    std::vector<node> programs(unsigned count) {
        std::vector<node> all;
        while (all.size() != count)
            all.push_back(program());
        return all;
    }

private:
    unsigned below(unsigned n) { return static_cast<unsigned>(random_() % n); }

    node program(int depth = 7) {
        constexpr op leaves[] = {op::value, op::ready,  op::yield, op::yield,     op::sleep, op::fail,
                                 op::fail,  op::cancel, op::reset, op::set_throw, op::state};
        constexpr op inner[] = {op::sequence, op::sequence, op::sequence, op::call,  op::call,     op::call,
                                op::attempt,  op::attempt,  op::scope,    op::spawn, op::spawn_two};
        bool const leaf = depth == 0 || (depth < 6 && below(6) == 0);
        op what = leaf ? leaves[below(std::size(leaves))] : inner[below(std::size(inner) - last_)];
        if (depth == 7)
            what = op::sequence;
        node n{what, below(1000), static_cast<unsigned>(random_()), {}};
        bool const one = n.what == op::call || n.what == op::spawn;
        unsigned const count = leaf ? 0 : one ? 1 : n.what == op::sequence ? 2 + below(3) : 2;
        for (unsigned i = 0; i != count; ++i)
            n.children.push_back(program(depth - 1));
        return n;
    }

    std::mt19937 random_;
    unsigned last_; // how many kinds of inner nodes, from the end of the list, are left out
};

struct error_a {
    unsigned payload;
};
struct error_b : std::runtime_error {
    using std::runtime_error::runtime_error;
};

[[noreturn]] void fail(unsigned n) {
    if (n % 4 == 0)
        throw n;
    if (n % 4 == 1)
        throw error_a{n};
    if (n % 4 == 2)
        throw error_b(std::to_string(n));
    throw test::system_error(test::error_code(static_cast<int>(n), asio::error::get_system_category()));
}

std::string describe(std::exception_ptr const& e) {
    try {
        std::rethrow_exception(e);
    } catch (unsigned n) {
        return "unsigned " + std::to_string(n);
    } catch (error_a const& a) {
        return "error_a " + std::to_string(a.payload);
    } catch (error_b const& b) {
        return std::string("error_b ") + b.what();
    } catch (test::system_error const& s) { // without its text: that says who noticed the cancellation
        return "system_error " + std::to_string(s.code().value());
    } catch (std::exception const& x) {
        return x.what();
    } catch (greenback::abandoned const&) {
        return "abandoned";
    }
}

// ---- tasks
// -----------------------------------------------------------------------------------------------------------

std::atomic<int> alive;
std::atomic<char const*> violated; // what was expected, last
bool tearing_down = false;         // tasks are not going on but being destroyed; false wherever there are threads

struct counted {
    counted() { ++alive; }
    counted(counted const&) { ++alive; }
    ~counted() { --alive; }
};

struct task {
    std::vector<std::string> log;
    asio::cancellation_signal own_signal;
    asio::cancellation_signal* signal = &own_signal; // null: nobody may cancel it
    std::list<task> children;
    // What the program expects of has_portal().
    bool task_wide = false;
    int scoped = 0, trees = 0;
    bool alone = true; // on its stack: not started inside of somebody else's co_spawn, where one cannot always tell

    void note(std::string what) { log.push_back(std::move(what)); }
    void note(char const* what, unsigned n) { note(what + (" " + std::to_string(n))); }
    void expect(bool ok, char const* what) {
        if (!ok) {
            violated = what;
            note(std::string("not so: ") + what);
        }
    }
    bool portal() const { return task_wide || scoped != 0; }
    void expect_portal() {
        if (tearing_down || (alone && !portal()))
            expect(!has_portal(), "no portal here");
        else if (portal())
            expect(has_portal(), "a portal here");
    }
    void cancel() {
        if (signal)
            signal->emit(asio::cancellation_type::terminal);
    }
    // What it logs joins this log where the parent has seen its end.
    task& child(asio::cancellation_signal* inherited, bool own) {
        task& c = children.emplace_back();
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

// What became of two tasks: the exception of the first that has one.
template <class Results> unsigned join_two(task& t, Results const& results) {
    auto const& [order, e1, value1, e2, value2] = results;
    for (auto const& e : {e1, e2})
        t.note(e ? describe(e) : "no exception");
    for (auto const& e : {e1, e2})
        if (e)
            std::rethrow_exception(e);
    return 7 * value1 + value2;
}

template <class Executor> auto two_tasks(Executor const& ex, awaitable<unsigned> a, awaitable<unsigned> b) {
    return asio::experimental::make_parallel_group(asio::co_spawn(ex, std::move(a), test::deferred),
                                                   asio::co_spawn(ex, std::move(b), test::deferred));
}

// ---- the model: nothing but co_await
// ---------------------------------------------------------------------------------

// Except that the other interpreter uses it, too, where it has no portal or does not care. `Other` runs the children.
template <class Other> awaitable<unsigned> run_plainly(task& t, node const& n) {
    counted const c;
    auto const ex = co_await asio::this_coro::executor;
    auto const child = [&n](unsigned i) -> node const& { return n.children[i]; };
    switch (n.what) {
    case op::value: t.note("value", n.value); break;
    case op::ready: co_return co_await test::value_of(n.value, false);
    case op::yield: co_await asio::post(ex, use_awaitable); break;
    case op::sleep: co_await test::sleep_ms(static_cast<int>(n.value % 2)); break;
    case op::fail: fail(n.value);
    case op::cancel: t.cancel(); break;
    case op::set_throw: co_await asio::this_coro::throw_if_cancelled(n.value % 2 != 0); break;
    case op::reset: co_await asio::this_coro::reset_cancellation_state(); break;
    case op::state: {
        auto const state = co_await asio::this_coro::cancellation_state;
        bool const throws = co_await asio::this_coro::throw_if_cancelled();
        t.note("cancelled", 10 * (state.cancelled() != asio::cancellation_type::none) + throws);
        break;
    }
    case op::sequence: {
        unsigned sum = 0;
        for (node const& each : n.children) {
            unsigned const result = co_await Other::run(t, each);
            sum = 31 * sum + result;
        }
        t.note("sum", sum);
        co_return sum;
    }
    case op::call: {
        unsigned const result = co_await Other::run(t, child(0));
        t.note("called", result);
        co_return result + 1;
    }
    case op::attempt: {
        std::exception_ptr caught;
        try {
            co_return co_await Other::run(t, child(0));
        } catch (...) {
            caught = std::current_exception();
        }
        t.note("caught " + describe(caught));
        unsigned const result = co_await Other::run(t, child(1));
        if (n.value % 2)
            std::rethrow_exception(caught);
        co_return result;
    }
    case op::scope: {
        std::exception_ptr leaving;
        unsigned result = 0;
        try {
            result = co_await Other::run(t, child(0));
        } catch (...) {
            leaving = std::current_exception();
        }
        t.note(leaving ? "leaves, unwinding" : "leaves");
        std::exception_ptr swallowed;
        try {
            co_await Other::run(t, child(1));
        } catch (...) {
            swallowed = std::current_exception();
        }
        if (swallowed)
            t.note("swallows " + describe(swallowed));
        if (leaving)
            std::rethrow_exception(leaving);
        co_return result;
    }
    case op::spawn: {
        bool const own = n.value % 2;
        task& started = t.child(t.signal, own);
        join_log const join{t, started};
        if (own)
            co_return co_await asio::co_spawn(ex, Other::start(t, started, child(0)),
                                              asio::bind_cancellation_slot(started.own_signal.slot(), use_awaitable));
        co_return co_await asio::co_spawn(ex, Other::start(t, started, child(0)), use_awaitable);
    }
    case op::spawn_two: {
        task &a = t.child(nullptr, false), &b = t.child(nullptr, false);
        join_log const join_b{t, b}, join_a{t, a};
        auto both = two_tasks(ex, Other::start(t, a, child(0)), Other::start(t, b, child(1)));
        auto const results = co_await both.async_wait(asio::experimental::wait_for_all(), use_awaitable);
        co_return join_two(t, results);
    }
    }
    co_return n.value;
}

// The coroutine of a new task. Some versions of Asio await something after it, and let the exception of a task that is
// cancelled by then leave the event loop.
template <class Other> awaitable<unsigned> whole_task(task& t, node const& n, bool yields) {
    if (yields)
        co_await test::yield_now();
    std::exception_ptr error;
    unsigned result = 0;
    try {
        result = co_await Other::run(t, n);
    } catch (...) {
        error = std::current_exception();
    }
    co_await asio::this_coro::throw_if_cancelled(false);
    if (error)
        std::rethrow_exception(error);
    co_return result;
}

struct model {
    static awaitable<unsigned> run(task& t, node const& n) { return run_plainly<model>(t, n); }
    static awaitable<unsigned> start(task&, task& child, node const& n) { return whole_task<model>(child, n, false); }
};

// ---- the other: coroutines and synchronous functions, at random
// ------------------------------------------------------

unsigned run_sync(task& t, node const& n);

struct mixed {
    static awaitable<unsigned> run(task& t, node const& n);

    static awaitable<unsigned> start(task& parent, task& child, node const& n) {
        child.trees = parent.trees != 0;
        bool const bestowed = n.choose(4, 20);
        child.task_wide = child.trees || bestowed;
        child.alone = n.choose(2, 22);
        auto whole = whole_task<mixed>(child, n, child.alone);
        return bestowed ? greenback::bestow_portal(std::move(whole)) : std::move(whole);
    }
};

// A portal that ends with this scope, as far as `t` knows.
struct portal_scope {
    task& t;
    bool tree;
    explicit portal_scope(task& in, bool is_tree = false) : t(in), tree(is_tree) {
        ++t.scoped;
        t.trees += tree;
    }
    ~portal_scope() {
        --t.scoped;
        t.trees -= tree;
    }
};

unsigned scoped_sync(task& t, node const& n) {
    portal_scope const s(t);
    return run_sync(t, n);
}
awaitable<unsigned> scoped_async(task& t, node const& n, bool tree) {
    portal_scope const s(t, tree);
    t.expect_portal();
    co_return co_await mixed::run(t, n);
}

// Every way to have a coroutine run something.
awaitable<unsigned> call_async(task& t, node const& n, unsigned how) {
    counted const c;
    switch (how % 8) {
    case 0: co_return co_await mixed::run(t, n);
    case 1: co_return co_await greenback::with_portal_run_sync(scoped_sync, std::ref(t), std::cref(n));
    case 2: {
        greenback::portal p;
        co_await p.run([&n] { await_(test::yield_if(n.how % 2)); });
        co_return co_await p.run(scoped_sync, std::ref(t), std::cref(n));
    }
    case 3: co_return co_await greenback::with_portal_run(scoped_async, std::ref(t), std::cref(n), false);
    case 4: co_return co_await greenback::bestow_portal(scoped_async(t, n, false));
    case 5: co_return co_await greenback::with_portal_run_tree(scoped_async, std::ref(t), std::cref(n), true);
    default:
        co_await greenback::ensure_portal();
        t.task_wide = t.task_wide || !t.portal();
        t.expect_portal();
        co_return co_await mixed::run(t, n);
    }
}

// A child of a node from synchronous code.
unsigned run_child(task& t, node const& n) { return n.choose(2, 9) ? run_sync(t, n) : await_(mixed::run(t, n)); }

unsigned handle(task& t, node const& n) {
    auto const caught = std::current_exception();
    t.note("caught " + describe(caught));
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
            task_.note("swallows " + describe(std::current_exception()));
        }
        task_.expect(std::uncaught_exceptions() == now, "as many uncaught exceptions as before the await");
    }

private:
    task& task_;
    node const& node_;
    int before_ = std::uncaught_exceptions();
};

awaitable<unsigned> mixed::run(task& t, node const& n) {
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
    unsigned const result = co_await run_plainly<mixed>(t, n);
    t.expect_portal();
    co_return result;
}

void post_sync(asio::any_io_executor const& ex, unsigned how) {
    switch (how % 4) {
    case 0: return asio::post(ex, use_portal);
    case 1: return await_(asio::post(ex, use_awaitable));
    case 2: return await_(asio::post(ex, test::deferred));
    default: return await_(test::yield_now());
    }
}

// Waits for an operation that has a value.
template <class Start> auto wait_for(Start start, unsigned how) {
    switch (how % 3) {
    case 0: return start(use_portal);
    case 1: return await_(start(use_awaitable));
    default: return await_(start(test::deferred));
    }
}

// What the co_await of a coroutine for a node does first, for nodes that begin otherwise than by awaiting.
void check_cancelled() { await_(test::value_of(0, false)); }

unsigned run_sync(task& t, node const& n) {
    counted const c;
    auto const again = std::make_unique<counted>(c); // what is lost on a stack that is not unwound, ASan sees
    t.expect_portal();
    auto const ex = await_(asio::this_coro::executor);
    auto const child = [&n](unsigned i) -> node const& { return n.children[i]; };
    unsigned const how = n.how >> 4;
    switch (n.what) {
    case op::yield: post_sync(ex, how); break;
    case op::sleep: {
        asio::steady_timer timer(ex, std::chrono::milliseconds(n.value % 2));
        if (how % 2)
            timer.async_wait(use_portal);
        else
            await_(timer.async_wait(test::deferred));
        break;
    }
    case op::set_throw:
        check_cancelled();
        await_(asio::this_coro::throw_if_cancelled(n.value % 2 != 0));
        break;
    case op::reset:
        check_cancelled();
        await_(asio::this_coro::reset_cancellation_state());
        break;
    case op::call: {
        unsigned const result = how % 3 ? await_(call_async(t, child(0), how / 3)) : run_sync(t, child(0));
        t.note("called", result);
        return result + 1;
    }
    case op::attempt:
        check_cancelled();
        try {
            return run_child(t, child(0));
        } catch (...) {
            unsigned const result = handle(t, child(1));
            if (n.value % 2)
                throw;
            return result;
        }
    case op::scope: {
        check_cancelled();
        awaiting_destructor const d(t, child(1));
        return run_child(t, child(0));
    }
    case op::sequence: {
        unsigned sum = 0;
        for (node const& each : n.children)
            sum = 31 * sum + run_child(t, each);
        t.note("sum", sum);
        return sum;
    }
    case op::spawn: {
        bool const own = n.value % 2;
        task& started = t.child(t.signal, own);
        join_log const join{t, started};
        auto const start = [&](auto token) { return asio::co_spawn(ex, mixed::start(t, started, child(0)), token); };
        if (!own)
            return wait_for(start, how);
        auto const slot = started.own_signal.slot();
        return how % 2 ? start(asio::bind_cancellation_slot(slot, use_portal))
                       : await_(start(asio::bind_cancellation_slot(slot, use_awaitable)));
    }
    case op::spawn_two: {
        task &a = t.child(nullptr, false), &b = t.child(nullptr, false);
        join_log const join_b{t, b}, join_a{t, a};
        auto both = two_tasks(ex, mixed::start(t, a, child(0)), mixed::start(t, b, child(1)));
        auto const start = [&](auto token) { return both.async_wait(asio::experimental::wait_for_all(), token); };
        return join_two(t, wait_for(start, how));
    }
    default: // the same everywhere
        return await_(run_plainly<mixed>(t, n));
    }
    return n.value;
}

// ---- running them
// ----------------------------------------------------------------------------------------------------

using tasks_of_programs = std::unique_ptr<std::list<task>>;

// Starts every program as a task on an executor from `next_executor`; its log ends with what became of it.
template <class How, class F> tasks_of_programs start_all(std::vector<node> const& programs, F next_executor) {
    auto tasks = std::make_unique<std::list<task>>();
    task outside;
    for (node const& program : programs) {
        task& t = tasks->emplace_back();
        asio::co_spawn(next_executor(), How::start(outside, t, program),
                       asio::bind_cancellation_slot(t.signal->slot(), [&t](std::exception_ptr e, unsigned result) {
                           t.note(e ? "fails with " + describe(e) : "returns " + std::to_string(result));
                       }));
    }
    return tasks;
}

template <class How> tasks_of_programs run_on_one_thread(std::vector<node> const& programs) {
    asio::io_context context(1);
    auto tasks = start_all<How>(programs, [&] { return context.get_executor(); });
    test::run_all(context);
    return tasks;
}

// The tasks' cancellation signals may hold strands, which must be gone before `pool` is.
template <class How>
tasks_of_programs run_on_threads(asio::thread_pool& pool, std::vector<node> const& programs, bool strands) {
    asio::any_io_executor const bare = pool.get_executor();
    auto tasks = start_all<How>(programs, [&] { return strands ? asio::make_strand(bare) : bare; });
    pool.join();
    return tasks;
}

// Where the logs differ, from a little before that.
std::string difference(std::vector<std::string> const& expected, std::vector<std::string> const& actual) {
    auto const [e, a] = std::mismatch(expected.begin(), expected.end(), actual.begin(), actual.end());
    if (e == expected.end() && a == actual.end())
        return "";
    std::string text;
    for (auto i = e - std::min<std::ptrdiff_t>(5, e - expected.begin()); i != e; ++i)
        text += *i + "; ";
    return text + "then expected: " + (e == expected.end() ? "the end" : *e) +
           ", but: " + (a == actual.end() ? "the end" : *a);
}

void check_nothing_left() {
    char const* const expected = violated.exchange(nullptr);
    CHECK(std::string(expected ? expected : "") == "");
    CHECK(alive.exchange(0) == 0);
    CHECK(greenback::stats().live == 0);
}

void check_same(std::list<task> const& expected, std::list<task> const& actual) {
    auto a = actual.begin();
    int number = 0;
    for (task const& e : expected) {
        CAPTURE(number++);
        CHECK(difference(e.log, (a++)->log) == "");
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
        auto const programs = generator(seed).programs(number_of_tasks);
        auto const expected = run_on_one_thread<model>(programs);
        auto const actual = run_on_one_thread<mixed>(programs);
        check_same(*expected, *actual);
    }
}

TEST_CASE("random programs give what plain co_await gives, on four threads", "[random]") {
    for (unsigned const seed : seeds()) {
        for (bool const strands : {true, false}) {
            CAPTURE(seed, strands);
            auto const programs = generator(seed, strands).programs(number_of_tasks / 2);
            auto const expected = run_on_one_thread<model>(programs);
            asio::thread_pool pool(4);
            auto const actual = run_on_threads<mixed>(pool, programs, strands);
            check_same(*expected, *actual);
        }
    }
}

TEST_CASE("random programs destroyed half way leave nothing behind", "[random]") {
    for (unsigned const seed : seeds()) {
        std::mt19937 random(seed);
        for (int round = 0; round != 10; ++round) {
            auto const programs = generator(static_cast<unsigned>(random())).programs(number_of_tasks / 10);
            auto const handlers = random() % (2 * number_of_tasks);
            CAPTURE(seed, round, handlers);
            tasks_of_programs tasks; // lives longer than what refers to it from the event loop
            {
                asio::io_context context(1);
                tasks = start_all<mixed>(programs, [&] { return context.get_executor(); });
                for (unsigned i = 0; i != handlers && context.run_one(); ++i)
                    ;
                tearing_down = true;
            }
            tearing_down = false;
            check_nothing_left();
        }
    }
}
