# SPDX-License-Identifier: MIT
"""Tables of what was measured, as it was measured."""

import statistics

from report_format import divide, figure, table
from report_results import CONNECTIONS
from report_targets import DEPTHS, limit, on_own_executor


def echo_groups(r):
    """Whose servers there are: by name, the results they are in and their group there."""
    return ((r.asio, r, "await"), (r.newest.asio, r.newest, "await"), ("Boost.Asio", r, "spawn"))


def time_table(r, group, with_instructions=False, with_o3=False):
    rows = []
    for row in r.times[group]:
        cells = [f"`{row}`"]
        for name in (group, f"{group}_o3") if with_o3 else (group,):
            spread = r.spread(name, row)
            cells += [figure(r.time(name, row)), "" if spread is None else f"± {spread:.1%}"]
        if with_instructions:
            count = r.count(group, row)
            cells.append("" if count is None else f"{count:,}")
        rows.append(cells)
    head = ["row", "ns, median", "spread"] + ["ns at -O3", "spread"] * with_o3 + ["instructions"] * with_instructions
    return table(head, rows)


def limit_table(r):
    """The limit of an await that suspends, and what is over it, as deep as the rows are: for each Asio and optimization."""
    columns = [(x, group) for x in (r, r.newest) for group in ("await", "await_o3")]
    rows = []
    for depth, (switch, _) in DEPTHS.items():
        least = [limit(x.time, group, depth) for x, group in columns]
        own = [on_own_executor(x.time, group, depth) for x, group in columns]
        rows.append((f"the limit{', ' * bool(depth)}{depth}: `handler_post` + `{switch}`, ns", *map(figure, least)))
        rows.append((f"`use_portal_post_on_own_executor{DEPTHS[depth][1]}`, ns", *map(figure, own)))
        rows.append(("… / the limit", *(figure(divide(a, b)) for a, b in zip(own, least))))
    return table(("", *(f"{x.asio}, {'-O3' if group.endswith('o3') else '-O2'}" for x, group in columns)), rows)


def echo_table(r, connections):
    native, rows = "co_await", []
    for name, results, group in echo_groups(r):
        for n, server in results.echo[group]:
            if n == connections:
                rows.append((name, f"`{server}`", figure(results.rate(group, server, n)),
                             figure(results.echo_ratio(group, server, native, n)), figure(results.cost(group, server, n)),
                             figure(results.echo_ratio(group, server, native, n, value=1))))
    return table(("", "server", "requests/s", "/ `co_await`", "processor ns per request", "/ `co_await`"), rows, left=2)


def threads_table(r):
    """A table for each Asio."""
    out = ""
    for results in (r, r.newest):
        rows = []
        for name in ("own_loop_coroutines", "own_loop_portals", "own_loop_hundred_portals_at_once", "own_loop_posts",
                     "pool_coroutines", "pool_portals", "pool_co_await_posts", "pool_posts"):
            names = [f"{name}/threads:{n}" if name.startswith("own_loop") else f"{name}/{n}" for n in (1, 2)]
            one, two = (results.time("threads", n) for n in names)
            # The pool's threads are not the benchmark's own: their processor time is not known.
            processor = [figure(statistics.median(results.processor_times[n]))
                         if n in results.processor_times and name.startswith("own_loop") else "" for n in names]
            rows.append((f"`{name}`", *(figure(1e3 / x if x else None) for x in (one, two)), figure(divide(one, two)), *processor))
        out += f"\n{results.asio}:\n\n"
        head = ("row", "one thread, million/s", "two threads, million/s", "two / one", "processor ns, one thread", "two")
        out += table(head, rows) if results.times["threads"] else "Not measured.\n"
    return out.removeprefix("\n")


def memory_table(r):
    names = {
        "resident_kib_each": "resident memory, KiB each",
        "page_tables_kib_each": "page tables (the kernel's, not in the line above), KiB each",
        "memory_mappings": "memory mappings of the process",
        "nanoseconds_to_make_each": "ns to make each, until it waits",
        "nanoseconds_to_end_each": "ns to resume and end each",
        "resident_kib_left_each": "still resident after that, KiB each",
        "page_tables_kib_left_each": "page tables after that, KiB each",
        "nanoseconds_to_make_again_each": "ns to make each once more, after that",
        "nanoseconds_to_destroy_each": "ns to destroy each, while it waits",
    }
    kinds = [k for k in r.memory if r.memory[k]]
    rows = [(text, *(figure(r.memory[k].get(name)) for k in kinds)) for name, text in names.items()]
    return table(("", *(f"{r.memory[k]['count']:,.0f} {k}" for k in kinds)), rows)
