// SPDX-License-Identifier: MIT
// The ways to make a portal, as docs/reference/ quotes them. Fails if a result is wrong.

#include <greenback/greenback.hpp>

#include <asio.hpp>
#include <asio/experimental/awaitable_operators.hpp>

#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;

void require(bool condition, char const* text) {
    if (!condition)
        throw std::runtime_error(text);
}

/// Synchronous, and asks somebody far away.
int evaluate(std::string const& expression) {
    greenback::sleep_for(1ms);
    return static_cast<int>(expression.size());
}

int depth(int levels) {
    char volatile frame[8192];
    frame[0] = 1;
    return levels == 0 ? 0 : depth(levels - 1) + frame[0];
}

// ---- with_portal_run_sync ------------------------------------------------------------------------------------------

// [with_portal_run_sync]
asio::awaitable<std::string> answer(std::string request) {
    // evaluate is an ordinary function, and somewhere in it there is an await_.
    int const result = co_await greenback::with_portal_run_sync(evaluate, std::move(request));
    co_return std::to_string(result);
}
// [/with_portal_run_sync]

asio::awaitable<int> compile(int levels) {
    // [allocator]
    greenback::pooled_stack const large(4 * 1024 * 1024);
    co_return co_await greenback::with_portal_run_sync(std::allocator_arg, large, depth, levels);
    // [/allocator]
}

int begun = 0;

// [call_result]
template <class F, class... Args> asio::awaitable<greenback::call_result_t<F, Args...>> counted(F f, Args... args) {
    ++begun;
    co_return co_await greenback::with_portal_run_sync(std::move(f), std::move(args)...);
}
// [/call_result]

// ---- portal --------------------------------------------------------------------------------------------------------

// [portal]
asio::awaitable<int> sum(std::vector<std::string> rows) {
    greenback::portal portal; // one stack for all the calls
    int result = 0;
    for (std::string const& row : rows)
        result += co_await portal.run(evaluate, row);
    co_return result;
}
// [/portal]

asio::awaitable<int> sum_deep(int levels) {
    // [portal_allocator]
    greenback::portal portal(std::allocator_arg, greenback::pooled_stack(4 * 1024 * 1024));
    int const once = co_await portal.run(depth, levels);
    int const again = co_await portal.run(depth, levels);
    // [/portal_allocator]
    co_return once + again;
}

// ---- ensure_portal -------------------------------------------------------------------------------------------------

// [ensure_portal]
asio::awaitable<int> session(std::string request) {
    co_await greenback::ensure_portal(); // once; from here on this task may call what awaits
    int result = evaluate(request);      // a plain call
    asio::steady_timer pause(co_await asio::this_coro::executor, 1ms);
    co_await pause.async_wait(asio::use_awaitable); // and co_await stays what it was
    result += evaluate(request);
    co_return result;
}
// [/ensure_portal]

// ---- with_portal_run -----------------------------------------------------------------------------------------------

// [with_portal_run]
asio::awaitable<int> import_all(std::vector<std::string> rows) { // a coroutine that calls what awaits
    int result = 0;
    for (std::string const& row : rows)
        result += evaluate(row);
    co_return result;
}

asio::awaitable<int> import_and_go_on(std::vector<std::string> rows) {
    int const result = co_await greenback::with_portal_run(import_all, std::move(rows));
    co_return greenback::has_portal() ? -1 : result; // the portal has ended with import_all
}
// [/with_portal_run]

// [coroutine_result]
template <class F, class... Args> greenback::coroutine_result_t<F, Args...> with_portal_and_count(F f, Args... args) {
    ++begun;
    co_return co_await greenback::with_portal_run(std::move(f), std::move(args)...);
}
// [/coroutine_result]

// ---- with_portal_run_tree ------------------------------------------------------------------------------------------

// [tree]
asio::awaitable<int> part(std::string request) { co_return evaluate(request); } // asks for no portal

asio::awaitable<int> both_parts() {
    using namespace asio::experimental::awaitable_operators;
    auto const [a, b] = co_await (part("one") && part("three")); // each operand is a task, with a portal of its own
    co_return a + b;
}

asio::awaitable<int> whole() { co_return co_await greenback::with_portal_run_tree(both_parts); }
// [/tree]

// ---- bestow_portal -------------------------------------------------------------------------------------------------

int results = 0;

// [bestow_portal]
/// Others have written it, and call a function of yours that awaits.
asio::awaitable<void> their_session(int (*on_request)(std::string const&)) {
    results += on_request("request");
    co_return;
}

void start(asio::io_context& loop) {
    asio::co_spawn(loop, greenback::bestow_portal(their_session(evaluate)), greenback::rethrow);
}
// [/bestow_portal]

asio::awaitable<void> all(bool& done) {
    std::vector<std::string> const rows = {"one", "two"}; // g++ 12 can't have the list in a co_await expression
    require(co_await answer("four") == "4", "answer");
    require(co_await compile(200) == 200, "compile");
    require(co_await counted(evaluate, std::string("four")) == 4, "counted");
    require(co_await sum(rows) == 6, "sum");
    require(co_await sum_deep(200) == 400, "sum_deep");
    require(co_await import_and_go_on(rows) == 6, "import_and_go_on");
    require(co_await with_portal_and_count(import_all, rows) == 6, "with_portal_and_count");
    require(begun == 2, "begun");
    require(co_await whole() == 8, "whole");
    require(!greenback::has_portal(), "no portal is left");
    require(co_await session("four") == 8, "session");
    require(greenback::has_portal(), "ensure_portal in an awaited coroutine is for the task");
    done = true;
}

} // namespace

int main() try {
    asio::io_context loop;
    bool done = false;
    asio::co_spawn(loop, all(done), greenback::rethrow);
    start(loop);
    loop.run();
    require(done && results == 7, "not everything has run");
    require(greenback::stats().live == 0, "a portal lives");
} catch (std::exception const& e) {
    std::fprintf(stderr, "portals: %s\n", e.what());
    return 1;
}
