// SPDX-License-Identifier: MIT
//
// The helpers, where there is no memory.

#include "failing_allocations/harness.hpp"
#include "support/sockets.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

using namespace failing;
using namespace std::chrono_literals;
namespace gb = greenback;

namespace {

extern "C" {
static int call_back(int (*f)(void*), void* argument) { return f(argument); }
}

} // namespace

// What begins by an initiation of greenback's own. Before Asio 1.24 one that has no memory ends the program: operation.hpp,
// and plain_asio.cpp.
#if !GREENBACK_INITIATES_WHILE_SUSPENDING

namespace {

/// An event loop's executor, and not its type: the children of a task on it have no strands, which Asio can't make where
/// there is no memory (plain_asio.cpp).
struct loop_executor {
    asio::io_context* context;

    template <class F> void execute(F f) const {
#if GREENBACK_ASIO_VERSION < 102600
        asio::execution::execute(context->get_executor(), std::move(f));
#else
        context->get_executor().execute(std::move(f));
#endif
    }
    asio::execution_context& query(asio::execution::context_t) const noexcept { return *context; }
    loop_executor require(asio::execution::blocking_t::never_t) const noexcept { return *this; }
    friend bool operator==(loop_executor, loop_executor) = default;
};

template <class F> void run_spawned_beside_children(F f) {
    event_loop context;
    run_spawned_on(asio::any_io_executor(loop_executor{&context}), context, std::move(f));
}

} // namespace

TEST_CASE("sleep_for", "[failing_allocations]") {
    check_program("sleep_for", [] { run_spawned([] { gb::sleep_for(1ms); }); });
}

TEST_CASE("await_for, with_timeout", "[failing_allocations]") {
    check_program("await_for", [] {
        run_spawned_beside_children([] {
            expect(gb::await_for(60s, test::value_of(1, true)) == 1, "result");
            auto const f = [] { return gb::await_(test::value_of(2, true)); };
            expect(gb::await_(gb::with_timeout(60s, f)) == 2, "result");
        });
    });
}

TEST_CASE("with_timeout, whose time is up", "[failing_allocations]") {
    check_program("timed out", [] {
        run_spawned_beside_children([] {
            bool timed_out = false;
            // Cancelled in use_portal: use_awaitable's exception is made by Asio, where that ends the program. And not for
            // ever: a timer whose handler Asio has no memory to call says so by what leaves run(), and is over.
            auto const too_long = [] {
                asio::steady_timer timer(gb::await_(asio::this_coro::executor), 500ms);
                timer.async_wait(gb::use_portal);
            };
            try {
                gb::await_(gb::with_timeout(1ms, too_long));
            } catch (gb::system_error const& e) {
                timed_out = e.code() == asio::error::timed_out;
                if (!timed_out)
                    throw;
            }
            expect(timed_out || failures() > 0, "in time");
        });
    });
}

TEST_CASE("await_all", "[failing_allocations]") {
    check_program("await_all", [] {
        run_spawned_beside_children([] {
            std::vector<asio::awaitable<int>> tasks;
            for (int i = 0; i != 3; ++i)
                tasks.push_back(test::value_of(i, true));
            expect(gb::await_all(std::move(tasks)).size() == 3, "results");
        });
    });
}

#endif

TEST_CASE("on_executor, on_task_stack", "[failing_allocations]") {
    check_program("on_executor", [] {
        event_loop context;
        int n = 0;
        gb::spawn(
            context,
            [&] {
                n = gb::on_executor(context, [] { return 1; });
                n += gb::on_task_stack([] { return 1; });
            },
            gb::rethrow);
        drain(context);
        expect(n == 2, "result");
    });
}

TEST_CASE("async_context, decorate_as_sync", "[failing_allocations]") {
    check_program("async_context", [] {
        int released = 0;
        std::exception_ptr error;
        try {
            run_spawned([&released] {
                gb::async_context c(test::value_of(1, true), [&released](int n) {
                    released += n;
                    return test::yield_now();
                });
                auto const decorate = gb::decorate_as_sync([](auto f) { return [f](int n) { return f(n) + 1; }; });
                auto const next = decorate([](int n) { return test::value_of(n, true); });
                expect(gb::await_(next(2)) == 3, "result");
                expect(*c == 1, "value");
            });
        } catch (...) {
            error = std::current_exception();
        }
        expect(error || released == 1, "not released");
        if (error)
            std::rethrow_exception(error);
    });
}

TEST_CASE("c_callback, exception_trap", "[failing_allocations]") {
    check_program("c_callback", [] {
        run_spawned([] {
            gb::c_callback callback([] { return gb::await_(test::value_of(1, true)); }, -1);
            int const n = call_back(callback, &callback);
            callback.rethrow();
            expect(n == 1, "result");
            gb::exception_trap trap;
            int const m = trap.run([] { return gb::await_(test::value_of(2, true)); }, -1);
            trap.rethrow();
            expect(m == 2, "result");
        });
    });
}

TEST_CASE("autoawait, async_iter", "[failing_allocations]") {
    check_program("autoawait", [] {
        run_spawned([] {
            auto const f = gb::autoawait([](int n) { return test::value_of(n, true); });
            expect(f(3) == 3, "result");
            int left = 3, sum = 0;
            auto const next = [&left] {
                return test::value_of(left == 0 ? std::optional<int>() : std::optional<int>(left--), true);
            };
            for (int n : gb::async_iter(next))
                sum += n;
            expect(sum == 6, "sum");
        });
    });
}

TEST_CASE("sync_stream over a socket", "[failing_allocations]") {
    check_program("sync_stream", [] {
        event_loop context;
        test::connection ends(context);
        std::string text(3, ' ');
        gb::spawn(
            context,
            [&] {
                gb::sync_stream<asio::ip::tcp::socket&> stream(ends.a), peer(ends.b);
                asio::write(peer, asio::buffer("abc", 3));
                asio::read(stream, asio::buffer(text));
            },
            gb::rethrow);
        drain(context);
        expect(text == "abc", "text");
    });
}

// A stream says so by badbit, or by the exception itself.
TEST_CASE("basic_iostream over a socket", "[failing_allocations]") {
    check_program("basic_iostream", [] {
        event_loop context;
        test::connection ends(context);
        std::string word;
        gb::spawn(
            context,
            [&] {
                gb::basic_iostream<asio::ip::tcp::socket&> near(ends.a), far(ends.b);
                near << "abc" << std::endl;
                far >> word;
            },
            gb::rethrow);
        drain(context);
        expect(word == "abc" || failures() > 0, "text");
    });
}
