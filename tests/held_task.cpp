// SPDX-License-Identifier: MIT
// The room in which a portal keeps its task while an operation has it.

#include "support/asio.hpp"
#include "support/catch.hpp"

#include <greenback/detail/task/cancelled_task.hpp>
#include <greenback/detail/task/held_task.hpp>

#include <utility>

using namespace greenback::detail;

namespace {

using executor = asio::any_io_executor;
using owner = task_thread<executor>;

/// A task that has not begun.
owner new_task(asio::io_context& context) {
    return {empty_task<executor>(), context.get_executor(), asio::cancellation_slot(), asio::cancellation_state()};
}

} // namespace

TEST_CASE("a held task is empty once it is cleared", "[held_task]") {
    held_task<executor> held;
    held.clear();
    CHECK_FALSE(held.is_holding());
}

TEST_CASE("a held task is taken from its owner, and taken out again", "[held_task]") {
    asio::io_context context;
    held_task<executor> held;
    held.clear();
    owner first = new_task(context);
    auto* const entry = first.entry_point();
    held.hold(first);
    CHECK(held.is_holding());
    CHECK(held.task().entry_point() == entry);
    CHECK_FALSE(thread_access<executor>::owns(first));
    {
        owner last(std::move(held.task()));
        CHECK_FALSE(held.is_holding());
        CHECK(last.entry_point() == entry);
        CHECK(context.poll() == 0);
    }
    context.restart();
    CHECK(context.poll() > 0); // Asio posts the destruction of a task
}

TEST_CASE("a task that is held already may be held again", "[held_task]") {
    asio::io_context context;
    held_task<executor> held;
    held.clear();
    owner first = new_task(context);
    held.hold(first);
    held.hold(held.task());
    CHECK(held.is_holding());
    owner const last(std::move(held.task()));
}
