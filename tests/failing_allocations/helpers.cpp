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

// Not run unless asked for: some allocations end these programs, or hang them, on one Asio or another. Before 1.24 an
// operation whose initiation throws ends the program on purpose (operation.hpp), as it does in plain Asio; the others
// have not been told apart from Asio's own yet.
#define UNSETTLED "[.][failing_allocations][unsettled]"

namespace {

extern "C" {
static int call_back(int (*f)(void*), void* argument) { return f(argument); }
}

} // namespace

TEST_CASE("sleep_for", UNSETTLED) {
    check_program("sleep_for", [] { run_spawned([] { gb::sleep_for(1ms); }); });
}

TEST_CASE("await_for", UNSETTLED) {
    check_program("await_for",
                  [] { run_spawned([] { expect(gb::await_for(60s, test::value_of(1, true)) == 1, "result"); }); });
}

TEST_CASE("await_all", UNSETTLED) {
    check_program("await_all", [] {
        run_spawned([] {
            std::vector<asio::awaitable<int>> tasks;
            for (int i = 0; i != 3; ++i)
                tasks.push_back(test::value_of(i, true));
            expect(gb::await_all(std::move(tasks)).size() == 3, "results");
        });
    });
}

TEST_CASE("on_executor, on_task_stack", UNSETTLED) {
    check_program("on_executor", [] {
        event_loop context;
        int n = 0;
        gb::spawn(
            context,
            [&] {
                n = gb::on_executor(asio::make_strand(context), [] { return 1; });
                n += gb::on_task_stack([] { return 1; });
            },
            gb::rethrow);
        drain(context);
        expect(n == 2, "result");
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
