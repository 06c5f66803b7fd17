// SPDX-License-Identifier: MIT

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/event_loop.hpp"
#include "support/every_kind.hpp"
#include "support/sanitizers.hpp"
#include "support/tasks.hpp"

#include <atomic>
#include <coroutine>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

using greenback::await_;
using greenback::has_portal;

namespace {

constexpr int many = test::sanitized ? 10000 : 100000;

// Opaque: a compiler may keep the answer in a register across an await_.
[[gnu::noinline]] std::thread::id thread_id() {
    asm volatile("" : : : "memory");
    return std::this_thread::get_id();
}

// Threads that resume what they are given, joined at the end.
class helpers {
public:
    ~helpers() {
        for (std::thread& t : threads_)
            t.join();
    }
    template <class F> void start(F f) { threads_.emplace_back(std::move(f)); }

private:
    std::vector<std::thread> threads_;
};

struct on_another_thread {
    helpers& threads;
    std::thread::id* completed_on = nullptr;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) {
        threads.start([this, h] {
            if (completed_on)
                *completed_on = thread_id();
            h.resume();
        });
    }
    int await_resume() const noexcept { return 42; }
};

struct inside_await_suspend {
    int value;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) const { h.resume(); }
    int await_resume() const noexcept { return value; }
};

struct not_suspended_after_all {
    int value;
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<>) const noexcept { return false; }
    int await_resume() const noexcept { return value; }
};

struct suspended_by_bool {
    asio::io_context& context;
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> h) const {
        asio::post(context, [h] { h.resume(); });
        return true;
    }
    void await_resume() const noexcept {}
};

struct transfers_back {
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> h) const noexcept { return h; }
    void await_resume() const noexcept {}
};

struct transfers_to_noop {
    asio::io_context& context;
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> h) const {
        asio::post(context, [h] { h.resume(); });
        return std::noop_coroutine();
    }
    int await_resume() const noexcept { return 7; }
};

// The awaiter keeps the handle for somebody who has it resumed, or not.
struct keeps_handle {
    std::coroutine_handle<>& kept;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) const noexcept { kept = h; }
    void await_resume() const noexcept {}
};

// A lazy coroutine type that has never heard of Asio; completes by symmetric transfer.
template <class T> class lazy {
public:
    struct promise_type {
        std::coroutine_handle<> next;
        std::optional<T> value;
        std::exception_ptr error;

        lazy get_return_object() { return lazy(std::coroutine_handle<promise_type>::from_promise(*this)); }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        struct to_next {
            bool await_ready() const noexcept { return false; }
            std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> h) const noexcept {
                return h.promise().next;
            }
            void await_resume() const noexcept {}
        };
        to_next final_suspend() const noexcept { return {}; }
        void return_value(T v) { value.emplace(std::move(v)); }
        void unhandled_exception() { error = std::current_exception(); }
    };

    lazy(lazy&& other) noexcept : coroutine_(std::exchange(other.coroutine_, nullptr)) {}
    lazy(lazy const&) = delete;
    ~lazy() {
        if (coroutine_)
            coroutine_.destroy();
    }

    auto operator co_await() && noexcept {
        struct awaiter {
            std::coroutine_handle<promise_type> coroutine;
            bool await_ready() const noexcept { return false; }
            std::coroutine_handle<> await_suspend(std::coroutine_handle<> h) const noexcept {
                coroutine.promise().next = h;
                return coroutine;
            }
            T await_resume() const {
                if (coroutine.promise().error)
                    std::rethrow_exception(coroutine.promise().error);
                return std::move(*coroutine.promise().value);
            }
        };
        return awaiter{coroutine_};
    }

private:
    explicit lazy(std::coroutine_handle<promise_type> c) : coroutine_(c) {}
    std::coroutine_handle<promise_type> coroutine_;
};

lazy<std::unique_ptr<int>> lazily(helpers& threads, int v) {
    int const more = co_await on_another_thread{threads};
    co_return std::make_unique<int>(v + more);
}

lazy<int> lazily_failing(helpers& threads) {
    co_await on_another_thread{threads};
    throw std::runtime_error("lazily");
}

struct with_free_operator {
    int value;
};
inside_await_suspend operator co_await(with_free_operator const& x) { return {x.value}; }

struct gives_reference {
    int& target;
    bool suspend;
    bool await_ready() const noexcept { return !suspend; }
    void await_suspend(std::coroutine_handle<> h) const { h.resume(); }
    int& await_resume() const noexcept { return target; }
};

/// An awaiter that has its result in itself, and the thing it is of.
struct keeps_result {
    std::string result;
    bool await_ready() const noexcept { return true; }
    void await_suspend(std::coroutine_handle<>) const noexcept {}
    std::string&& await_resume() noexcept { return std::move(result); }
};
struct makes_keeper {
    keeps_result operator co_await() && { return {std::string(100, 'x')}; }
};

struct throws {
    bool in_suspend;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) const {
        if (in_suspend)
            throw std::runtime_error("await_suspend");
        h.resume();
    }
    void await_resume() const { throw std::runtime_error("await_resume"); }
};

struct ready {
    bool await_ready() const noexcept { return true; }
    [[noreturn]] void await_suspend(std::coroutine_handle<>) const { throw std::logic_error("was suspended"); }
    int await_resume() const noexcept { return 5; }
};

struct witness {
    int& unwound;
    ~witness() { ++unwound; }
};

template <class F> std::string message_of(F f) {
    try {
        f();
        return "nothing thrown";
    } catch (std::exception const& e) {
        return e.what();
    }
}

} // namespace

TEST_CASE("a task of which nothing has suspended completes after co_spawn has returned", "[foreign]") {
    // Asio posts that completion, and may dispatch others. An awaiter that does not suspend after all is no suspension.
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context(1);
    bool returned = false, completed_before = false;
    asio::post(context, [&] {
        asio::co_spawn(context, test::in_portal(how, [] { await_(not_suspended_after_all{1}); }),
                       [&](std::exception_ptr) { completed_before = !returned; });
        returned = true;
    });
    test::run_all(context);
    CHECK_FALSE(completed_before);
}

TEST_CASE("what another thread completes goes on on the task's executor", "[foreign]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    auto const on_strand = GENERATE(false, true);
    CAPTURE(on_strand);
    asio::io_context context;
    auto const strand = asio::make_strand(context);
    asio::any_io_executor const ex = on_strand ? asio::any_io_executor(strand) : context.get_executor();
    int good = 0, right_place = 0, elsewhere = 0;
    helpers threads;
    auto const here = thread_id();
    test::run_task(context, ex, test::in_portal(how, [&] {
                       for (int i = 0; i != 20; ++i) {
                           std::thread::id completed_on;
                           good += await_(on_another_thread{threads, &completed_on}) == 42;
                           right_place += thread_id() == here && strand.running_in_this_thread() == on_strand;
                           elsewhere += completed_on != here;
                       }
                   }));
    CHECK(good == 20);
    CHECK(right_place == 20);
    CHECK(elsewhere == 20);
}

TEST_CASE("every form of await_suspend and of operator co_await is understood", "[foreign]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    helpers threads;
    int seen = 0;
    test::run_task(context, context, test::in_portal(how, [&] {
                       CHECK(await_(inside_await_suspend{1}) == 1);
                       CHECK(await_(not_suspended_after_all{2}) == 2);
                       await_(suspended_by_bool{context});
                       await_(transfers_back());
                       int const transferred = await_(transfers_to_noop{context});
                       CHECK(transferred == 7);
                       with_free_operator const free{3};
                       CHECK(await_(free) == 3);
                       CHECK(await_(with_free_operator{4}) == 4);
                       CHECK(await_(ready()) == 5);
                       inside_await_suspend kept{6};
                       CHECK(await_(kept) == 6);
                       CHECK(await_(std::as_const(kept)) == 6);
                       await_(std::suspend_never());
                       std::unique_ptr<int> const p = await_(lazily(threads, 8));
                       CHECK(*p == 50);
                       CHECK(message_of([&] { await_(lazily_failing(threads)); }) == "lazily");
                       seen = has_portal();
                   }));
    CHECK(seen == 1);
}

TEST_CASE("await_resume may return a reference or throw, and await_suspend may throw", "[foreign]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    int target = 0;
    test::run_task(context, context, test::in_portal(how, [&] {
                       static_assert(std::is_same_v<decltype(await_(gives_reference{target, true})), int&>);
                       await_(gives_reference{target, true}) += 1;
                       await_(gives_reference{target, false}) += 2;
                       for (int i = 0; i != 3; ++i) {
                           CHECK(message_of([] { await_(throws{true}); }) == "await_suspend");
                           CHECK(message_of([] { await_(throws{false}); }) == "await_resume");
                       }
                       await_(test::yield_now());
                   }));
    CHECK(target == 3);
}

TEST_CASE("a reference into an awaiter that does not outlive the await comes out as a value", "[foreign]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    std::string const expected(100, 'x');
    test::run_task(context, context, test::in_portal(how, [&] {
                       static_assert(std::is_same_v<decltype(await_(makes_keeper())), std::string>);
                       static_assert(std::is_same_v<decltype(await_(keeps_result())), std::string&&>);
                       auto&& made = await_(makes_keeper());
                       CHECK(made == expected);
                       std::string const moved = await_(keeps_result{expected});
                       CHECK(moved == expected);
                       auto const called = greenback::autoawait([&] { return keeps_result{expected}; });
                       static_assert(std::is_same_v<decltype(called()), std::string>);
                       auto&& returned = called();
                       CHECK(returned == expected);
                   }));
}

TEST_CASE("an awaiter that is ready, or does not suspend, lets no handler in between", "[foreign]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    bool other_ran = false;
    test::run_task(context, context, test::in_portal(how, [&] {
                       asio::post(context, [&] { other_ran = true; });
                       await_(ready());
                       await_(not_suspended_after_all{0});
                       await_(std::suspend_never());
                       CHECK_FALSE(other_ran);
                       await_(inside_await_suspend{0});
                       CHECK(other_ran); // it suspended, and its resumption is posted
                   }));
}

TEST_CASE("a hundred thousand awaiters in a row need no more stack than one", "[foreign]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    long inside = 0, unsuspended = 0, transferred = 0;
    test::run_task(context, context, test::in_portal(how, [&] {
                       for (int i = 0; i != many; ++i)
                           inside += await_(inside_await_suspend{1});
                       for (int i = 0; i != many; ++i)
                           unsuspended += await_(not_suspended_after_all{1});
                       for (int i = 0; i != many; ++i)
                           await_(transfers_back()), ++transferred;
                   }));
    CHECK(inside == many);
    CHECK(unsuspended == many);
    CHECK(transferred == many);
}

TEST_CASE("coroutines on the fiber call code that awaits what is foreign to Asio", "[foreign]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    helpers threads;
    int sum = 0;
    auto const coroutine = [&](auto& self, int depth) -> asio::awaitable<int> {
        int n = await_(on_another_thread{threads});
        co_await test::yield_now();
        n += await_(inside_await_suspend{1});
        if (depth != 0)
            n += depth % 2 ? co_await self(self, depth - 1) : await_(self(self, depth - 1));
        co_return n;
    };
    test::run_task(context, context, test::in_portal(how, [&] { sum = await_(coroutine(coroutine, 5)); }));
    CHECK(sum == 6 * 43);
}

TEST_CASE("the event loop does not end while a foreign awaiter is pending", "[foreign]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    std::coroutine_handle<> kept;
    bool done = false;
    test::spawn(context, test::in_portal(how, [&] {
                    await_(keeps_handle{kept});
                    done = true;
                }));
    test::poll_all(context);
    REQUIRE(kept);
    CHECK_FALSE(context.stopped());
    std::thread completer([&] { kept.resume(); });
    test::run_all(context);
    completer.join();
    CHECK(done);
}

TEST_CASE("a task destroyed meanwhile is unwound, and a late resumption does nothing", "[foreign]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    auto const resumed_late = GENERATE(true, false);
    CAPTURE(resumed_late);
    std::coroutine_handle<> kept;
    int unwound = 0;
    bool went_on = false;
    {
        asio::io_context context;
        test::spawn(context, test::in_portal(how, [&] {
                        witness const outer{unwound};
                        await_([](auto& h, int& n) -> asio::awaitable<void> {
                            witness const middle{n};
                            await_(test::yield_now());
                            witness const inner{n};
                            await_(keeps_handle{h});
                            co_return;
                        }(kept, unwound));
                        went_on = true;
                    }));
        test::poll_all(context);
        REQUIRE(kept);
        CHECK(unwound == 0);
    }
    CHECK(unwound == 3);
    CHECK_FALSE(went_on);
    resumed_late ? kept.resume() : kept.destroy();
    CHECK(unwound == 3);
}

TEST_CASE("a handle destroyed instead of resumed destroys the task", "[foreign]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context;
    std::coroutine_handle<> kept;
    int unwound = 0;
    bool went_on = false;
    test::spawn(context, test::in_portal(how, [&] {
                    witness const w{unwound};
                    await_(keeps_handle{kept});
                    went_on = true;
                }));
    test::poll_all(context);
    REQUIRE(kept);
    kept.destroy();
    test::run_all(context); // and the loop has nothing left to wait for
    CHECK(unwound == 1);
    CHECK_FALSE(went_on);
}

TEST_CASE("handles are resumed by many threads while the context goes away", "[foreign]") {
    std::atomic<int> unwound{0}, completed{0};
    int const rounds = test::sanitized ? 20 : 100;
    for (int round = 0; round != rounds; ++round) {
        std::vector<std::coroutine_handle<>> kept(20);
        auto context = std::make_unique<asio::io_context>();
        for (int i = 0; i != 20; ++i) {
            struct counter {
                std::atomic<int>& n;
                ~counter() { ++n; }
            };
            test::spawn(*context, test::in_portal(test::kind_in_turn(i), [&, i] {
                counter const c{unwound};
                await_(keeps_handle{kept[std::size_t(i)]});
                ++completed;
            }));
        }
        context->poll();
        std::thread resumer([&] {
            for (auto h : kept)
                h.resume();
        });
        if (round % 2)
            context->poll();
        context.reset();
        resumer.join();
        REQUIRE(unwound == 20 * (round + 1));
    }
    CHECK(completed <= 20 * rounds);
}

TEST_CASE("an awaiter whose await_ready swallows abandoned is not waited for", "[foreign]") {
    struct swallows {
        bool await_ready() {
            try {
                await_(test::forever());
            } catch (...) {
            }
            return false;
        }
        void await_suspend(std::coroutine_handle<>) { suspended = true; }
        void await_resume() {}
        bool& suspended;
    };
    FOR_EVERY_KIND_OF_PORTAL(how);
    auto const in_coroutine = GENERATE(false, true);
    CAPTURE(in_coroutine);
    bool suspended = false, thrown = false;
    auto const synchronous = [&] {
        try {
            await_(swallows{suspended});
        } catch (greenback::abandoned const&) {
            thrown = true;
            throw;
        }
    }; // outlives the task, whose unwinding goes through it
    {
        asio::io_context context;
        test::spawn(context, test::in_portal(how, [&] {
                        if (in_coroutine)
                            await_(test::coroutine_that_calls(synchronous));
                        else
                            synchronous();
                    }));
        test::poll_all(context);
    }
    CHECK(thrown);
    CHECK_FALSE(suspended);
}
