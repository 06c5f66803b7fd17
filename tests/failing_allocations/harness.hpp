// SPDX-License-Identifier: MIT
//
// A program, run again and again, each time with another of its allocations failing.
#pragma once

#include "failing_allocations/allocations.hpp"
#include "failing_allocations/initiations.hpp"
#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"

#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace failing {

/// Runs `program` with each of its allocations failing in turn: that one alone; then, from each on, all until the
/// program has told of it. In this process, on a thread of its own each time, so that nothing of the thread is there
/// yet; and in a process of its own each time, so that nothing of the library is there yet.
///
/// The program throws what memory's end is told by, or has done what it is for. Fails the running test case where
/// it does anything else, or leaves anything behind: memory, descriptors, portals, or a library that no longer works.
void check_program(char const* name, void (*program)());

/// How many of a program's allocations end it how where they fail, none being spared: for programs of plain Asio. What has
/// lost something has thrown `wrong`.
struct ends {
    long survived = 0, died = 0, hung = 0, leaked = 0, lost = 0;
};
ends ends_of(void (*program)(), bool and_all_after);

/// What a program throws that has not done what it is for, and has not been told why.
struct wrong : std::runtime_error {
    using std::runtime_error::runtime_error;
};
inline void expect(bool condition, char const* what) {
    if (!condition)
        throw wrong(what);
}

/// Does `e` say that there is no memory? `std::bad_alloc`, which `stack_exhausted` is, or a `system_error` with
/// no_memory; or several exceptions of which the first is one of these.
bool tells_of_memory(std::exception_ptr const& e) noexcept;

/// An io_context. Asio 1.36's leaks its first services if its constructor runs out of memory, so that is spared.
class event_loop : private std::optional<reprieve>, public asio::io_context {
public:
    event_loop() : std::optional<reprieve>(std::in_place) { std::optional<reprieve>::reset(); }
};

/// Runs until there is no work left. @throws what left the event loop on the way: what tells of memory, if anything
/// did, since the other tasks' may be what came of it
void drain(asio::io_context& context);

/// The task that is the synchronous function `f`, to its end.
template <class Executor, class F> void run_spawned_on(Executor const& executor, asio::io_context& context, F f) {
    bool done = false;
    greenback::spawn(
        executor,
        [&done, f = std::move(f)]() mutable {
            f();
            done = true;
        },
        greenback::rethrow);
    drain(context);
    expect(done, "the function has not returned, and nobody was told");
}
template <class F> void run_spawned(F f) {
    event_loop context;
    run_spawned_on(context.get_executor(), context, std::move(f));
}

inline asio::awaitable<void> note_end(asio::awaitable<void> task, bool& done) {
    co_await std::move(task);
    done = true;
}

/// The task `f()`, to its end.
template <class F> void run_coroutine(F f) {
    event_loop context;
    bool done = false;
    asio::co_spawn(context, note_end(f(), done), greenback::rethrow);
    drain(context);
    expect(done, "the coroutine has not ended, and nobody was told");
}

} // namespace failing
