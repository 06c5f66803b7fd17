// SPDX-License-Identifier: MIT
//
// What is awaited where there is no memory; cancelled and destroyed tasks.

#include "failing_allocations/harness.hpp"

#include <chrono>
#include <coroutine>
#include <optional>
#include <sstream>

using namespace failing;
using namespace std::chrono_literals;
namespace gb = greenback;

namespace {

struct ready_later {
    asio::io_context& context;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) {
        asio::post(context, [h] { h.resume(); });
    }
    int await_resume() const noexcept { return 42; }
};

asio::any_io_executor executor() { return gb::await_(asio::this_coro::executor); }

} // namespace

TEST_CASE("await_ of what is ready, and of a timer", "[failing_allocations]") {
    check_program("await_", [] {
        run_spawned([] {
            expect(gb::await_(test::value_of(1, false)) == 1, "result");
            asio::steady_timer timer(executor(), 0ms);
            gb::await_(timer.async_wait(asio::use_awaitable));
            gb::await_(timer.async_wait(test::deferred));
            expect(gb::await_(test::value_of(2, true)) == 2, "result");
        });
    });
}

#if !GREENBACK_INITIATES_WHILE_SUSPENDING // there an initiation without memory ends the program, as in plain_asio.cpp
TEST_CASE("use_portal, and what adapts it", "[failing_allocations]") {
    check_program("use_portal", [] {
        run_spawned([] {
            auto const ex = executor();
            asio::steady_timer timer(ex, 0ms);
            timer.async_wait(gb::use_portal);
            gb::error_code ec;
            timer.async_wait(asio::redirect_error(gb::use_portal, ec));
            expect(!ec, "error");
            // Not to a strand: plain_asio.cpp.
            timer.async_wait(asio::bind_executor(ex, gb::use_portal));
            asio::cancellation_signal signal;
            timer.async_wait(asio::bind_cancellation_slot(signal.slot(), gb::use_portal));
            asio::post(ex, gb::use_portal);
            auto const [failure] = timer.async_wait(asio::as_tuple(gb::use_portal));
            expect(!failure, "error");
        });
    });
}
#endif

TEST_CASE("a C++20 awaiter of somebody else's", "[failing_allocations]") {
    check_program("foreign", [] {
        event_loop context;
        int n = 0;
        gb::spawn(context, [&] { n = gb::await_(ready_later{context}); }, gb::rethrow);
        drain(context);
        expect(n == 42, "result");
    });
}

#if !GREENBACK_INITIATES_WHILE_SUSPENDING // there other things die, too
template <bool ItsOwn> void await_foreign() {
    event_loop context;
    auto const count = asio::execution::outstanding_work.tracked; // then it is an executor like any other
    auto const f = [&] { gb::await_(ready_later{context}); };
    if constexpr (ItsOwn)
        gb::spawn(context.get_executor(), f, gb::rethrow);
    else
        gb::spawn(asio::require(context.get_executor(), count), f, gb::rethrow);
    drain(context);
}

TEST_CASE("what completes an awaiter of somebody else's has nobody to tell, but on an io_context's own executor",
          "[failing_allocations]") {
    CHECK(ends_of(await_foreign<true>, false).died == 0);
    CHECK(ends_of(await_foreign<false>, false).died > 0);
}
#endif

// By use_portal, whose exception is greenback's; use_awaitable's is made by Asio where that ends the program.
#if !GREENBACK_INITIATES_WHILE_SUSPENDING
TEST_CASE("a task that is cancelled", "[failing_allocations]") {
    check_program("cancelled", [] {
        event_loop context;
        asio::cancellation_signal signal;
        bool aborted = false;
        std::exception_ptr error;
        gb::spawn(
            context,
            [&] {
                asio::steady_timer timer(context, asio::steady_timer::time_point::max());
                asio::post(context, [&] {
                    reprieve const here; // Asio's way from the signal to the task: plain_asio.cpp
                    signal.emit(asio::cancellation_type::terminal);
                });
                try {
                    timer.async_wait(gb::use_portal);
                } catch (gb::system_error const& e) {
                    aborted = e.code() == asio::error::operation_aborted;
                    throw;
                }
            },
            asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e) { error = e; }));
        drain(context);
        if (!aborted && error)
            std::rethrow_exception(error);
        expect(aborted, "not cancelled");
    });
}
#endif

TEST_CASE("a task that is destroyed while it waits", "[failing_allocations]") {
    check_program("destroyed", [] {
        bool unwound = false;
        std::optional<event_loop> context(std::in_place);
        std::exception_ptr error;
        gb::spawn(
            *context,
            [&] {
                try {
                    gb::await_(test::forever());
                } catch (gb::abandoned const&) {
                    unwound = true;
                    throw;
                }
            },
            [&](std::exception_ptr e) { error = e; });
        context->poll();
        {
            // Asio's owner of a task posts the task's destruction from its destructor, which is noexcept.
            reprieve const here;
            context.reset();
        }
        if (error)
            std::rethrow_exception(error);
        expect(unwound, "not unwound");
    });
}

TEST_CASE("for_each_portal, label_portal", "[failing_allocations]") {
    check_program("for_each_portal", [] {
        run_spawned([] {
            gb::label_portal("a portal without memory"); // a label that can't be kept is left out
            int seen = 0;
            gb::for_each_portal([](gb::portal_info const&, void* n) { ++*static_cast<int*>(n); }, &seen);
            expect(seen == 1, "portals");
            gb::await_(test::yield_now());
        });
    });
}

TEST_CASE("dump_portals", "[failing_allocations]") {
    check_program("dump_portals", [] {
        run_spawned([] {
            std::ostringstream text;
            gb::dump_portals(text); // what can't be told is left out
            gb::await_(test::yield_now());
        });
    });
}
