// SPDX-License-Identifier: MIT
// The texts: each says what happened, and what to write instead.

#include "call_site.hpp"
#include "symbols.hpp"

#include <greenback/detail/throw_error.hpp>

#include <string>
#include <string_view>

namespace greenback::detail {
namespace {

std::string file_and_line(std::source_location where) {
    return std::string(where.file_name()) + ':' + std::to_string(where.line());
}

/// What was called, and where, if that is known.
std::string place(std::source_location where) {
    std::string text;
    if (is_use_portal(where)) {
        if (std::string_view const operation = operation_at(where); !operation.empty())
            text.append(operation) += ": ";
        return text += "greenback::use_portal was used";
    }
    if (*where.file_name() != '\0')
        (text += file_and_line(where)) += ": ";
    return text += "greenback::await_ was called";
}

char const* reason(no_portal_because why) {
    switch (why) {
    case no_portal_because::not_in_loop:
        return " outside of any Asio task: no event loop runs on this thread. "
               "Start a task that calls the function through a portal: "
               "greenback::spawn(executor, function, greenback::rethrow), or "
               "co_spawn(executor, greenback::with_portal_run_sync(function, arguments...), greenback::rethrow).";
    case no_portal_because::not_in_portal:
        return " without a portal in this task. "
               "Either call the synchronous function as co_await greenback::with_portal_run_sync(function, "
               "arguments...), "
               "or write co_await greenback::ensure_portal() once in each task whose synchronous code awaits. "
               "A task started with co_spawn, or as an operand of || or &&, has no portal of its parent's; "
               "a completion handler has none either: spawn a task in it.";
    case no_portal_because::initiating:
        return " by an operation's initiation while its task waits for that operation. "
               "Await before the operation is started, or make the initiation asynchronous (a coroutine) instead. "
               "If the operation is co_spawn, this was the first stretch of the child task, which has no portal of its "
               "parent's: write co_await greenback::ensure_portal() in the child.";
    case no_portal_because::runs_inline:
        return " by other code that runs inline on a portal's stack: a handler run by a "
               "nested run() or poll(), a function that dispatch() runs on a strand, or a task's first steps inside "
               "co_spawn. Use asio::post instead of dispatch, leave the loop to the outermost run(), and give the "
               "task a portal of its own with co_await greenback::ensure_portal().";
    }
    return "";
}

} // namespace

void throw_no_portal(std::source_location where, no_portal_because why) { throw no_portal(place(where) + reason(why)); }

void throw_executor_mismatch(std::source_location where, std::type_info const& awaitable, std::type_info const& task) {
    throw executor_mismatch(place(where) + " with an awaitable whose executor is " + demangled(awaitable.name()) +
                            " in a task whose executor is " + demangled(task.name()) +
                            ". Declare the awaitable with the task's executor type, or start it as a task of its own: "
                            "await_(co_spawn(executor, std::move(awaitable), asio::deferred)).");
}

void throw_await_forbidden(std::source_location where, char const* reason, std::source_location scope) {
    throw await_forbidden(place(where) + " inside a no_await_scope: " + reason + " (" + file_and_line(scope) +
                          "). Await before the scope begins or after it has ended: whatever else runs while this task "
                          "waits would find things as they are inside.");
}

void throw_portal_busy() {
    throw portal_busy("greenback::portal::run was awaited while this portal is still running a function. "
                      "A portal has one stack: await the first run before the second, or use another portal, or "
                      "with_portal_run_sync, which takes a stack of its own each time.");
}

void throw_abandoned() { throw abandoned(); }

} // namespace greenback::detail
