# SPDX-License-Identifier: MIT
"""Both generations of standalone Asio, Boost.Asio and asio::spawn, side by side."""

from report_format import figure, table
from report_targets import connections_text

# What, its row with each Asio, and with asio::spawn.
AWAITS = (
    ("a ready `awaitable`: `co_await`", "co_await_ready", None),
    ("… `await_`; `co_spawn(…, yield)`", "await_ready", "spawn_co_spawn_ready"),
    ("`post`: `co_await`", "co_await_post", None),
    ("… `await_`", "await_post", None),
    ("… `use_portal`; `yield`", "use_portal_post", "spawn_post"),
    ("`post` ten deep: `co_await`", "co_await_post_ten_deep", None),
    ("… `use_portal`; `yield`", "use_portal_post_ten_deep", "spawn_post_ten_deep"),
    ("a call: `co_await child()`", "co_await_child", None),
    ("… `with_portal_run_sync(nothing)`", "with_portal_run_sync_nothing", None),
    ("a task made, run and ended: `co_spawn`", "co_spawn_child", None),
    ("… with a portal; `spawn`", "co_spawn_with_portal_run_sync", "spawn_nothing"),
)


def awaits(r, measured):
    """measured(results, group, row)"""
    columns = ((r, "await"), (r.newest, "await"), (r, "spawn"))
    return [(what, *(figure(measured(x, group, row)) for x, group in columns),
             figure(measured(r, "spawn", spawn)) if spawn else "") for what, row, spawn in AWAITS]


def section(r):
    head = ("", r.asio, r.newest.asio, "Boost.Asio", "`asio::spawn` on the same Boost.Asio")
    out = "\n## Side by side\n\nTime, ns. Rows of one column have been measured in turn, and so have those of the last two columns.\n\n"
    out += table(head, awaits(r, lambda x, group, row: x.time(group, row)))
    out += "\nInstructions:\n\n" + table(head, awaits(r, lambda x, group, row: x.count(group, row)))
    out += "\nThe line-echo server, requests/s:\n\n"
    rows = []
    for n in sorted({n for n, _ in r.echo["spawn"]} | {n for n, _ in r.echo["await"]}):
        for server in ("co_await", "await_", "use_portal"):
            rows.append((f"{connections_text(n)}: `{server}`", figure(r.rate("await", server, n)),
                         figure(r.newest.rate("await", server, n)), figure(r.rate("spawn", server, n)),
                         figure(r.rate("spawn", "spawn", n)) if server == "use_portal" else ""))
    return out + table(head, rows)
