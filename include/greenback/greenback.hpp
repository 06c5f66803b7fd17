// SPDX-License-Identifier: MIT
// greenback: synchronous code that awaits, inside Asio coroutine tasks. The whole library, in the order in which it is
// best read; each header can be included alone.
//
// What stands behind it is in detail/, one folder for each layer; a layer knows those above it in this list, and none
// below:
//
//     platform/    entering a context, the exceptions of a thread: what each processor and runtime has its own way of
//     fiber/       stacks, fibers, the switch; what a thread keeps. Knows nothing of Asio
//     asio/        which Asio; every name of asio::detail in use
//     task/        the frames of a task, pumped from a fiber: one pump for each generation of Asio
//     portal/      the two portals over one core, which opens with a table of their states; the coroutines behind them
//     operation/   what a portal's code can wait for
//     stream/      a stream's reads and writes, their deadline, the buffer of an iostream
#pragma once

// What it is called, and what can go wrong.
#include <greenback/error.hpp>   // no_portal, executor_mismatch, await_forbidden, portal_busy, abandoned
#include <greenback/version.hpp> // GREENBACK_VERSION

// 1. Where a synchronous call chain lives: size, guard, pool.
#include <greenback/stack.hpp> // pooled_stack, default_stack_size, stack_exhausted

// 2. What is left of it, what was used, what overflowed.
#include <greenback/stack_use.hpp> // remaining_stack, stack_high_water, report_stack_overflow

// 3. detail/fiber/fiber.hpp: switch in, switch out, and the picture of the two stacks.
//    detail/portal/portal_core.hpp: the portal, a fiber that pumps its task's own frames.
//    detail/operation/operation.hpp: one operation that a fiber waits for.

// 4. A portal: run a synchronous function in a task.
#include <greenback/portal.hpp> // with_portal_run_sync, portal, has_portal

// 5. The one function it is all about.
#include <greenback/await.hpp> // await_

// 6. The completion token.
#include <greenback/use_portal.hpp> // use_portal

// 7. Portals for coroutines themselves.
#include <greenback/task_portal.hpp> // ensure_portal, with_portal_run, bestow_portal, with_portal_run_tree

// 8. Starting without a coroutine.
#include <greenback/spawn.hpp> // spawn, rethrow

// 9. Seeing the portals of a process.
#include <greenback/diagnostics.hpp>  // stats
#include <greenback/dump_portals.hpp> // dump_portals, dump_portals_on, for_each_portal, label_portal

// 10. Helpers, each alone: built on the above, as anybody could; nothing above knows them.
//     Waiting: a while, for several things, for no longer than a while.
#include <greenback/await_all.hpp> // await_all
#include <greenback/await_for.hpp> // await_for, with_timeout
#include <greenback/sleep.hpp>     // sleep_for, sleep_until

//     Code that belongs elsewhere: on a thread of its own, on a larger stack.
#include <greenback/on_executor.hpp>   // on_executor
#include <greenback/on_task_stack.hpp> // on_task_stack

//     Code that must not be interrupted.
#include <greenback/no_await_scope.hpp> // no_await_scope, no_await_lock

//     C libraries that call back.
#include <greenback/exception_trap.hpp> // exception_trap

#include <greenback/c_callback.hpp> // c_callback

//     What is asynchronous where something synchronous is expected: a function, a decorated one, a range, a scope.
#include <greenback/autoawait.hpp> // autoawait

#include <greenback/async_context.hpp>    // async_context
#include <greenback/async_iter.hpp>       // async_iter
#include <greenback/decorate_as_sync.hpp> // decorate_as_sync

//     Streams. greenback/beast.hpp, which is not included here, has what Boost.Beast needs besides.
#include <greenback/sync_stream.hpp> // sync_stream

#include <greenback/basic_iostream.hpp> // basic_iostream

// 11. greenback/blocking_calls.hpp, which is not included here: libraries that wait by themselves, in libc's blocking calls.
//     It needs a library of its own, since it changes what those calls mean.
