// SPDX-License-Identifier: MIT
// What greenback throws, as docs/reference/ quotes it. Fails if something else is thrown.

#include <greenback/greenback.hpp>

#include <asio.hpp>

#include <chrono>
#include <cstdio>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>

namespace {

using namespace std::chrono_literals;

void require(bool condition, char const* text) {
    if (!condition)
        throw std::runtime_error(text);
}

bool contains(char const* text, char const* part) { return std::string(text).find(part) != std::string::npos; }

asio::awaitable<int> number() { co_return 7; }

// ---- no_portal -----------------------------------------------------------------------------------------------------

// [no_portal]
int twice() { return 2 * greenback::await_(number()); }

asio::awaitable<void> forgetful() {
    twice(); // throws no_portal, although number() needs not wait
    co_return;
}
// [/no_portal]

asio::awaitable<void> with_no_portal(int& seen) {
    try {
        co_await forgetful();
    } catch (greenback::no_portal const& e) {
        seen += contains(e.what(), "errors.cpp:") && contains(e.what(), "without a portal in this task") &&
                contains(e.what(), "ensure_portal");
    }
}

// ---- executor_mismatch ---------------------------------------------------------------------------------------------

// [executor_mismatch]
asio::awaitable<int, asio::io_context::executor_type> on_the_loop() { co_return 7; }

int wrong() { return greenback::await_(on_the_loop()); } // throws executor_mismatch in a task on any_io_executor
// [/executor_mismatch]

void with_another_executor(int& seen) {
    try {
        wrong();
    } catch (greenback::executor_mismatch const& e) {
        seen += contains(e.what(), "executor is");
    }
}

// ---- portal_busy ---------------------------------------------------------------------------------------------------

void wait_a_moment() { greenback::sleep_for(1ms); }

// [portal_busy]
asio::awaitable<void> share(greenback::portal& portal) {
    co_await portal.run(wait_a_moment); // in two tasks at once: throws portal_busy in the second
}
// [/portal_busy]

asio::awaitable<void> counted_share(greenback::portal& portal, int& seen) {
    try {
        co_await share(portal);
    } catch (greenback::portal_busy const&) {
        ++seen;
    }
}

// ---- await_forbidden -----------------------------------------------------------------------------------------------

std::mutex cache_mutex;

void with_a_lock(int& seen) {
    // [await_forbidden]
    greenback::no_await_lock const lock("the cache is locked", cache_mutex);
    try {
        greenback::await_(number());
    } catch (greenback::await_forbidden const& e) {
        std::puts(e.what()); // where this is, "the cache is locked", and where the lock is
    }
    // [/await_forbidden]
    try {
        greenback::await_(number());
    } catch (greenback::await_forbidden const& e) {
        seen += contains(e.what(), "the cache is locked (") && contains(e.what(), "errors.cpp:");
    }
}

// ---- abandoned -----------------------------------------------------------------------------------------------------

int rolled_back = 0;

// [abandoned]
class transaction {
public:
    ~transaction() { rolled_back += !committed_; }
    void commit() { committed_ = true; }

private:
    bool committed_ = false;
};

void transfer() {
    transaction t;
    greenback::sleep_for(1h); // waits for the bank
    t.commit();
}

void destroy_while_it_waits() {
    asio::io_context loop;
    greenback::spawn(loop, transfer, greenback::rethrow);
    loop.poll(); // the task begins, and waits
} // ~io_context destroys the task: sleep_for throws abandoned, so t is destroyed, and the money stays where it was
// [/abandoned]

// ---- stack_exhausted -----------------------------------------------------------------------------------------------

std::string logged;

// [stack_exhausted]
asio::awaitable<bool> compile(std::size_t stack_size) {
    bool lacking = false;
    try {
        co_await greenback::with_portal_run_sync(std::allocator_arg, greenback::pooled_stack(stack_size), twice);
    } catch (greenback::stack_exhausted const& e) { // a std::bad_alloc; nothing has run, and nothing is lost
        lacking = e.limit() == greenback::stack_limit::size;
    }
    co_return !lacking;
}
// [/stack_exhausted]

// [log_handler]
void to_syslog(char const* line) noexcept { logged += line; } // syslog(LOG_WARNING, "%s", line), say

greenback::log_handler set_up_logging() { return greenback::set_log_handler(to_syslog); } // first thing in main
// [/log_handler]

asio::awaitable<void> with_too_large_a_stack(int& seen) {
    seen += co_await compile(1024 * 1024) && !co_await compile(~std::size_t(0));
}

} // namespace

int main() try {
    require(set_up_logging() == nullptr, "the first handler is the library's own");
    int seen = 0;
    {
        asio::io_context loop;
        greenback::portal portal;
        asio::co_spawn(loop, with_no_portal(seen), greenback::rethrow);
        greenback::spawn(loop, [&] { with_another_executor(seen); }, greenback::rethrow);
        greenback::spawn(loop, [&] { with_a_lock(seen); }, greenback::rethrow);
        asio::co_spawn(loop, counted_share(portal, seen), greenback::rethrow);
        asio::co_spawn(loop, counted_share(portal, seen), greenback::rethrow);
        asio::co_spawn(loop, with_too_large_a_stack(seen), greenback::rethrow);
        loop.run();
    }
    require(seen == 5, "an error was not thrown, or says something else");
    require(contains(logged.c_str(), "larger than any stack can be"), "log_handler");
    destroy_while_it_waits();
    require(rolled_back == 1, "abandoned");
    require(greenback::stats().live == 0, "a portal lives");
} catch (std::exception const& e) {
    std::fprintf(stderr, "errors: %s\n", e.what());
    return 1;
}
