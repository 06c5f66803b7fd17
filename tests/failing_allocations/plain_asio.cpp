// SPDX-License-Identifier: MIT
//
// What plain Asio does where there is no memory. The tests beside this spare it the allocations that it does not
// survive; here are programs of its own that show it. One that fails says that this Asio has mended what was spared: then
// it need not be spared there any more.

#include "failing_allocations/harness.hpp"

#include <optional>

using namespace failing;

namespace {

ends shown(char const* what, bool and_all_after, void (*program)()) {
    auto const e = ends_of(program, and_all_after);
    UNSCOPED_INFO(what << ": survived " << e.survived << ", died " << e.died << ", hung " << e.hung << ", leaked "
                       << e.leaked << ", lost " << e.lost);
    return e;
}

} // namespace

TEST_CASE("plain Asio: an operation is initiated", "[failing_allocations]") {
    auto const e = shown("initiation", false, [] {
        event_loop context;
        asio::co_spawn(context, test::yield_now(), greenback::rethrow);
        drain(context);
    });
    CHECK(e.survived > 0);
#if GREENBACK_INITIATES_WHILE_SUSPENDING
    CHECK(e.died > 0);
#endif
}

TEST_CASE("plain Asio: a task is destroyed while it waits", "[failing_allocations]") {
    auto const e = shown("destroyed", true, [] {
        std::optional<event_loop> context(std::in_place);
        asio::co_spawn(*context, test::forever(), greenback::rethrow);
        context->poll();
        context.reset();
    });
    CHECK(e.died > 0);
}

TEST_CASE("plain Asio: an io_context is made", "[failing_allocations]") {
    auto const e = shown("io_context", false, [] { asio::io_context const context; });
    CHECK(e.survived > 0);
#if GREENBACK_ASIO_VERSION >= 103600
    CHECK(e.leaked > 0);
#endif
}

// The children of await_all and await_for run on strands. A strand whose mutex there is no memory for is destroyed half
// made; what is posted to one, and can't be scheduled, leaves it locked.
TEST_CASE("plain Asio: a strand is made and posted to", "[failing_allocations]") {
    auto const e = shown("strand", false, [] {
        event_loop context;
        int runs = 0;
        auto const strand = asio::make_strand(context);
        try {
            asio::post(strand, [&] { ++runs; });
        } catch (std::bad_alloc const&) {
            relent();
        }
        asio::post(strand, [&] { runs += 2; });
        drain(context);
        expect(runs >= 2, "what was posted has not been run");
    });
    CHECK(e.survived > 0);
    CHECK(e.died + e.hung + e.lost > 0);
}

TEST_CASE("plain Asio: a task is cancelled", "[failing_allocations]") {
    auto const e = shown("cancelled", false, [] {
        event_loop context;
        asio::cancellation_signal signal;
        std::exception_ptr error;
        asio::co_spawn(context, test::forever(),
                       asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr x) { error = x; }));
        asio::post(context, [&] { signal.emit(asio::cancellation_type::terminal); });
        drain(context);
    });
    CHECK(e.survived > 0);
#if GREENBACK_INITIATES_WHILE_SUSPENDING || GREENBACK_ASIO_VERSION >= 103600
    CHECK(e.died > 0);
#endif
}
