// SPDX-License-Identifier: MIT
// Dumps while three threads run, make and end portals: nothing is torn, nothing is touched that is gone.
//
// GREENBACK_STRESS_SECONDS says for how long; a second if it doesn't.

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/every_kind.hpp"
#include "support/one_function.hpp"
#include "support/tasks.hpp"

#include <greenback/diagnostics.hpp>
#include <greenback/dump_portals.hpp>

#include <boost/context/fixedsize_stack.hpp>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>

using greenback::await_;
using greenback::portal_info;
using greenback::portal_state;
using greenback::use_portal;

extern "C" void* _Unwind_FindEnclosingFunction(void*); // NOLINT(bugprone-reserved-identifier)

namespace {

std::atomic<bool> stop{false};
std::atomic<long> awaits{0};

ONE_FUNCTION void wait_somehow(int n) {
    if (n % 3 == 0) {
        asio::post(await_(asio::this_coro::executor), use_portal);
    } else if (n % 3 == 1) {
        await_(test::yield_now());
    } else {
        asio::steady_timer timer(await_(asio::this_coro::executor), std::chrono::microseconds(20));
        timer.async_wait(use_portal);
    }
    awaits.fetch_add(1, std::memory_order_relaxed);
}
ONE_FUNCTION int go_down(int depth, int n) {
    char volatile pad[64]; // so that frames lie elsewhere each time
    pad[0] = static_cast<char>(depth);
    if (depth == 0)
        wait_somehow(n);
    else
        go_down(depth - 1, n);
    return pad[0];
}
ONE_FUNCTION void body(int number) {
    greenback::label_portal(number % 2 == 0 ? "even" : "odd");
    for (int n = 0; n != 30 && !stop; ++n) {
        go_down((number * 7 + n) % 12, n);
        greenback::no_await_scope const scope("of a moment");
    }
    asm volatile("");
}

/// Portals one after the other, of every kind and on every sort of stack.
asio::awaitable<void> task(int number) {
    for (int n = number; !stop; ++n) {
        if (n % 7 == 0)
            co_await greenback::with_portal_run_sync(std::allocator_arg, boost::context::fixedsize_stack(128 * 1024),
                                                     body, n);
        else if (n % 7 == 1)
            co_await greenback::with_portal_run_sync(std::allocator_arg, greenback::pooled_stack(96 * 1024), body, n);
        else
            co_await asio::co_spawn(co_await asio::this_coro::executor,
                                    test::in_portal(test::kind_in_turn(n), [n] { body(n); }), asio::use_awaitable);
    }
}

struct tally {
    long looks = 0, whole = 0, cut = 0, running = 0, wrong = 0;

    static void visit(portal_info const& p, void* self) {
        tally& t = *static_cast<tally*>(self);
        ++t.looks;
        bool good = !p.label || std::string_view(p.label) == "even" || std::string_view(p.label) == "odd";
        if (p.site.line() != 0)
            good = good && std::string_view(p.site.file_name()).ends_with(".hpp") +
                                   std::string_view(p.site.file_name()).ends_with(".cpp") ==
                               1;
        if (p.executor)
            good = good && *p.executor == typeid(asio::any_io_executor);
        if (p.state == portal_state::running) {
            ++t.running;
            good = good && p.backtrace.empty() && p.stack_used == 0;
        } else {
            good = good && p.stack_used != 0 && p.stack_used < p.stack_size;
            bool found = false;
            for (void* const call : p.backtrace)
                found = found ||
                        _Unwind_FindEnclosingFunction(static_cast<char*>(call) - 1) == reinterpret_cast<void*>(&body);
            ++(found ? t.whole : t.cut); // cut: in what comes before and after the function's own code
        }
        if (!good)
            ++t.wrong;
    }
};

} // namespace

TEST_CASE("dumps while three threads run portals", "[dumps]") {
    char const* const asked = std::getenv("GREENBACK_STRESS_SECONDS");
    std::chrono::seconds const length(asked ? std::atoi(asked) : 1);
    stop = false;
    asio::thread_pool pool(3);
    for (int i = 0; i != 60; ++i)
        asio::co_spawn(pool, task(i), greenback::rethrow);
    tally t;
    long dumps = 0;
    for (auto const end = std::chrono::steady_clock::now() + length; std::chrono::steady_clock::now() < end; ++dumps) {
        if (dumps % 16 == 0) {
            std::ostringstream text;
            greenback::dump_portals(text);
        } else
            greenback::for_each_portal(&tally::visit, &t);
    }
    stop = true;
    pool.join();
    std::ostringstream result;
    result << dumps << " dumps, " << t.looks << " looks: " << t.whole << " whole, " << t.cut << " cut, " << t.running
           << " running; meanwhile " << awaits << " awaits";
    WARN(result.str());
    CHECK(t.wrong == 0);
    CHECK(t.looks > 0);
#if defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__))
    CHECK(t.whole > t.cut);
#endif
    CHECK(greenback::stats().live == 0);
}
