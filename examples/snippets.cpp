// SPDX-License-Identifier: MIT
// Pieces of code for README.md and docs/, compiled and run here. Not meant to be read in one go.

#include <asio.hpp>

#include <greenback/greenback.hpp>
#include <greenback/stack.hpp>

#include <cerrno>
#include <chrono>
#include <coroutine>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using asio::local::stream_protocol;

void require(bool condition, char const* text) {
    if (!condition)
        throw std::runtime_error(text);
}

void short_wait() {
    asio::steady_timer timer(greenback::await_(asio::this_coro::executor), std::chrono::milliseconds(1));
    timer.async_wait(greenback::use_portal);
}

// ---- README: what can be awaited ---------------------------------------------------------------------------

/// Not Asio's: resumes its coroutine on a thread of its own.
struct answer_from_a_thread {
    int value = 0;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiting) {
        std::thread([this, waiting] {
            value = 42;
            waiting.resume();
        }).detach();
    }
    int await_resume() const noexcept { return value; }
};

asio::awaitable<int> number() { co_return 7; }

void what_can_be_awaited(stream_protocol::socket& socket) {
    char data[1];
    asio::mutable_buffer const buffer = asio::buffer(data);
    // [awaits]
    int const n = greenback::await_(number()); // an asio::awaitable
    std::size_t const some = greenback::await_(socket.async_read_some(buffer, asio::use_awaitable));
    std::size_t const more = socket.async_read_some(buffer, greenback::use_portal); // the same, at less cost
    asio::any_io_executor const executor = greenback::await_(asio::this_coro::executor);
    int const foreign = greenback::await_(answer_from_a_thread()); // any C++20 awaiter
    // [/awaits]
    require(n == 7 && some == 1 && more == 1 && foreign == 42, "what_can_be_awaited");
    require(executor == asio::any_io_executor(socket.get_executor()), "executor");
}

asio::awaitable<void> awaits(int& done) {
    auto const executor = co_await asio::this_coro::executor;
    stream_protocol::socket here(executor), there(executor);
    asio::local::connect_pair(here, there);
    co_await there.async_write_some(asio::buffer("xx", 2), asio::use_awaitable);
    co_await greenback::with_portal_run_sync(what_can_be_awaited, std::ref(here));
    ++done;
}

// ---- README: the kinds of portals --------------------------------------------------------------------------

int calls = 0;

void synchronous(int number) {
    short_wait();
    calls += number;
}

asio::awaitable<void> session(int number) {
    require(greenback::has_portal(), "session");
    synchronous(number);
    co_return;
}

// [kinds]
asio::awaitable<void> one_call() { co_await greenback::with_portal_run_sync(synchronous, 1); }

asio::awaitable<void> many_calls_on_one_stack() {
    greenback::portal portal;
    for (int i = 0; i < 10; ++i)
        co_await portal.run(synchronous, 1);
}

asio::awaitable<void> the_rest_of_this_task() {
    co_await greenback::ensure_portal();
    synchronous(1); // no co_await: it is a plain call
}

asio::awaitable<void> one_coroutine() { co_await greenback::with_portal_run(session, 1); }

asio::awaitable<void> one_coroutine_and_the_tasks_it_spawns() { co_await greenback::with_portal_run_tree(session, 1); }

void a_task_written_by_others(asio::io_context& loop) {
    asio::co_spawn(loop, greenback::bestow_portal(session(1)), greenback::rethrow);
}
// [/kinds]

asio::awaitable<void> kinds(int& done) {
    co_await one_call();
    co_await many_calls_on_one_stack();
    require(!greenback::has_portal(), "kinds");
    co_await one_coroutine();
    co_await one_coroutine_and_the_tasks_it_spawns();
    co_await the_rest_of_this_task();
    require(calls == 14, "calls");
    ++done;
}

// ---- docs/pitfalls.md --------------------------------------------------------------------------------------

int read_setting(char const* path) {
    // [errno]
    std::FILE* const file = std::fopen(path, "r");
    int const error = errno; // now, in a variable of our own: after the await it may be another thread's
    short_wait();
    if (!file)
        return error;
    // [/errno]
    std::fclose(file);
    return 0;
}

struct account {
    std::mutex mutex;
    int balance = 10;
};

void audit(account& a) {
    // [lock]
    int balance;
    {
        std::scoped_lock lock(a.mutex);
        balance = a.balance;
    } // released before the await, and taken again after it if need be
    short_wait();
    // [/lock]
    require(balance == 10, "audit");
}

class lease {
public:
    // [destructor]
    ~lease() {
        if (greenback::has_portal())
            give_back(); // awaits
        // else: the task is being destroyed, or this is no task at all; the other side will time out
    }
    // [/destructor]
    explicit lease(int& given) : given_(given) {}
    lease(lease const&) = delete;

private:
    void give_back() noexcept {
        short_wait();
        ++given_;
    }
    int& given_;
};

void use_lease(int& given) {
    lease const l(given);
    short_wait();
}

void wait_long() {
    asio::steady_timer timer(greenback::await_(asio::this_coro::executor), std::chrono::hours(1));
    timer.async_wait(greenback::use_portal);
}

int attempts = 0;

bool try_once() {
    ++attempts;
    wait_long();
    return true;
}

void retry() {
    // [swallow]
    for (;;) {
        try {
            if (try_once())
                return;
        } catch (greenback::abandoned const&) {
            throw; // before catch (...): the task is being destroyed, there is nothing to try again
        } catch (...) {
            // try again
        }
    }
    // [/swallow]
}

int handled = 0;

void inline_code(asio::io_context& loop) {
    auto const handler = [] { ++handled; };
    // [post]
    asio::post(loop, handler); // not asio::dispatch, which would call it here, on this portal's stack
    // [/post]
    require(handled == 0, "inline_code");
}

int depth(int levels) {
    char volatile frame[8192];
    frame[0] = static_cast<char>(levels);
    return levels == 0 ? frame[0] : depth(levels - 1) + (frame[0] != 0 ? 1 : 0);
}

asio::awaitable<int> deep() {
    // [stack]
    greenback::pooled_stack const large(4 * 1024 * 1024);
    co_return co_await greenback::with_portal_run_sync(std::allocator_arg, large, depth, 200);
    // [/stack]
}

asio::awaitable<void> pitfalls(asio::io_context& loop, int& done) {
    co_await greenback::ensure_portal();
    require(read_setting("/nowhere/at/all") == ENOENT, "read_setting");
    account a;
    audit(a);
    int given = 0;
    use_lease(given);
    require(given == 1, "use_lease");
    inline_code(loop);
    ++done;
}

} // namespace

int main() try {
    int done = 0;
    {
        asio::io_context loop;
        asio::co_spawn(loop, awaits(done), greenback::rethrow);
        asio::co_spawn(loop, kinds(done), greenback::rethrow);
        asio::co_spawn(loop, deep(), [&](std::exception_ptr error, int levels) {
            greenback::rethrow(error);
            done += levels == 200;
        });
        loop.run();
        a_task_written_by_others(loop);
        loop.restart();
        loop.run();
        require(calls == 15, "bestow_portal");
    }
    {
        asio::io_context loop;
        asio::co_spawn(loop, pitfalls(loop, done), greenback::rethrow);
        asio::co_spawn(loop, greenback::with_portal_run_sync(retry), greenback::rethrow);
        loop.run_for(std::chrono::milliseconds(100));
    }
    require(handled == 1 && attempts == 1, "retry");
    require(done == 4, "not everything has run");
} catch (std::exception const& e) {
    std::fprintf(stderr, "snippets: %s\n", e.what());
    return 1;
}
