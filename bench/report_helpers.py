# SPDX-License-Identifier: MIT
"""The parts of the page about helpers, streams and blocking calls, each beside what one would write by hand."""

from report_format import divide, figure, table

# What, the helper's row, and that of what is written by hand.
HELPERS = (
    ("`await_all` of ten tasks that suspend once", "await_all_ten", "co_await_all_ten", "`co_await (a && b && …)`"),
    ("`await_for` of one", "await_for_post", "co_await_or_timer", "`co_await (a \\|\\| timer)`"),
    ("`with_timeout` of a function that awaits once", "with_timeout_post", "co_await_or_timer", "the same"),
    ("`sleep_for(0s)`", "sleep_for_nothing", "co_await_timer", "`co_await timer.async_wait`"),
    ("an element of `async_iter`", "async_iter_element", "co_await_element", "`co_await next()`"),
    ("`autoawait(f)(i)`, `f(i)` being ready", "autoawait_ready", "co_await_ready", "`co_await f(i)`"),
    ("`on_executor(pool, f)`, real time", "on_executor_pool/real_time", "co_await_co_spawn_pool/real_time",
     "`co_await co_spawn(pool, …)`"),
    ("`exception_trap::run(f)`", "exception_trap_call", "try_and_catch", "`try` and `catch`"),
    ("a call through `c_callback`", "c_callback_call", "callback_by_hand", "a function with `try` and `catch`"),
    ("a `no_await_scope`", "no_await_scope_made", "no_scope", "nothing"),
)
# What, and its rows: sockets that block, coroutines, the streams.
STREAMS = (
    ("64 bytes written and read, both ready", "piece_sockets", "piece_co_await",
     (("`sync_stream`", "piece_sync_stream"), ("`use_portal`", "piece_use_portal"), ("`basic_iostream`", "piece_iostream"))),
    ("a line of 64 bytes written, sent and read", "line_socket_iostream", "line_co_await",
     (("`basic_iostream`", "line_iostream"),)),
    ("the same, 100 lines at once, each", "hundred_lines_socket_iostream", "hundred_lines_co_await",
     (("`basic_iostream`", "hundred_lines_iostream"),)),
    ("a byte there and back between two tasks (or threads), real time", "byte_there_and_back_threads",
     "byte_there_and_back_co_await", (("`sync_stream`", "byte_there_and_back_sync_stream"),)),
)


def time_of(x, group, row):
    """Rows with real time are known without that ending."""
    return x.time(group, row.removesuffix("/real_time"))


def helpers_table(groups):
    rows = []
    for what, ours, theirs, by_hand in HELPERS:
        cells = [what, by_hand]
        for x in groups:
            a, b = time_of(x, "helpers", ours), time_of(x, "helpers", theirs)
            counts = [x.count("helpers", row) for row in (ours, theirs)]
            cells += [figure(a), figure(b), "" if theirs == "no_scope" else figure(divide(a, b)),
                      "" if None in counts else f"{counts[0]:,} / {counts[1]:,}"]
        rows.append(cells)
    head = ["", "by hand"]
    for x in groups:
        head += [f"{x.asio}: ns", "by hand, ns", "ratio", "instructions"]
    return table(head, rows, left=2)


def streams_table(groups):
    rows = []
    for what, sockets, native, ours in STREAMS:
        for name, row in (("blocking sockets", sockets), ("`co_await`", native), *ours):
            cells = [what, name]
            for x in groups:
                count = x.count("helpers", row)
                cells += [figure(x.time("streams", row)), figure(divide(x.time("streams", row), x.time("streams", native))),
                          "" if count is None else f"{count:,}"]
            rows.append(cells)
    head = ["", "over"]
    for x in groups:
        head += [f"{x.asio}: ns", "/ `co_await`", "instructions"]
    return table(head, rows, left=2)


def blocking_calls_table(groups):
    def values(*names):
        return [[x.blocking_calls.get(name) for name in names] for x in groups]

    rows = []
    for what, place in (("a call off every portal, which glibc answers by itself", "off_portal"),
                        ("a `recv` on a portal that finds something", "on_portal")):
        cells = [what]
        for ours, plain in values(f"{place}.ns", f"{place}.plain_ns"):
            more = None if None in (ours, plain) else ours - plain
            cells += [figure(ours), "" if more is None else f"{more:+.1f} ns beside libc's {figure(plain)}"]
        rows.append(cells)
    for kind, text in (("portals", "two portals that call `read` and `write`, one thread"),
                       ("co_await", "two coroutines, one thread"), ("threads", "two threads that call `read` and `write`")):
        cells = [f"a byte to and fro, each way: {text}"]
        for ours, native in values(f"{kind}.ns_each_way", "co_await.ns_each_way"):
            cells += [figure(ours), figure(divide(ours, native)) + " of `co_await`'s" if ours is not None else ""]
        rows.append(cells)
    head = [""]
    for x in groups:
        head += [f"{x.asio}: ns", ""]
    return table(head, rows)


def section(r):
    groups = [x for x in (r, r.newest) if x.times["helpers"] or x.times["streams"] or x.blocking_calls] or [r]
    out = "\n## Helpers\n\n"
    out += ("Each beside what one would write by hand in a coroutine (or in C). Below a few nanoseconds it matters more how the "
            "compiler has placed the two than what they do. `on_executor` and its counterpart wait for another thread; their "
            "time is the system's, and depends on where it puts that thread. "
            "A timer's time is the kernel's.\n\n" + helpers_table(groups))
    out += "\n## Streams\n\n"
    out += ("Over a local socket pair, both ends in one process. What blocks suspends nothing; the others go once through the "
            "event loop for each read and write, as Asio has it. Only in the last rows does a read have to wait. "
            "Instructions are those in the program, not those in the kernel.\n\n" + streams_table(groups))
    out += "\n## Blocking calls\n\n"
    out += ("What [`greenback::blocking_calls`](blocking-calls.md) makes of libc's calls. The byte goes over a pair of sockets.\n\n"
            + blocking_calls_table(groups))
    return out
