# SPDX-License-Identifier: MIT
"""Ratios that have a target, and whether it is met."""

import report_lines
from report_format import add, divide, figure, table
from report_results import CONNECTION_COUNTS

# (what, measured, "≤" or "≥", target, aim), where target and aim may be None.


def ratio(get, group, row, other):
    return divide(get(group, row), get(group, other))


# How deep an await is → the bare switch that is its limit, and the ending of its row's name.
DEPTHS = {
    "": ("boost_context_round_trip", ""),
    "three calls deep": ("switch_with_calls_three_deep", "_three_deep"),
    "ten calls deep": ("switch_with_calls_ten_deep", "_ten_deep"),
}


def limit(get, group, depth=""):
    """The least that an await that suspends could take: a handler's way through the event loop, and a switch and back."""
    return add(get(group, "handler_post"), get(group, DEPTHS[depth][0]))


def on_own_executor(get, group, depth=""):
    return get(group, "use_portal_post_on_own_executor" + DEPTHS[depth][1])


def asio_targets(r, is_newest):
    """What has a target with each standalone Asio; where there are two, the one for the newest is the second."""
    t = r.time

    def either(target, of_newest):
        return of_newest if is_newest else target

    a, c, switch = (t("await", row) for row in ("await_ready", "co_await_ready", "boost_context_round_trip"))
    rows = [
        ("(`await_` − `co_await`) of a ready `awaitable`, over one Boost.Context round trip",
         (a - c) / switch if None not in (a, c, switch) else None, "≤", 0.3, 0.1),
        ("`await_` / `co_await` of `asio::post(ex, use_awaitable)`",
         ratio(t, "await", "await_post", "co_await_post"), "≤", either(1.10, 1.06), None),
        ("`asio::post(ex, use_portal)` / `co_await asio::post(ex, use_awaitable)`",
         ratio(t, "await", "use_portal_post", "co_await_post"), "≤", either(0.65, 0.42), None),
    ]
    for level, group, target in (("-O2", "await", 1.7), ("-O3", "await_o3", 1.4)):
        own = on_own_executor(t, group)
        rows.append((f"`asio::post(ex, use_portal)` on the event loop's own executor / the limit, {level}",
                     divide(own, limit(t, group)), "≤", target, None))
    for level, group in (("-O2", "await"), ("-O3", "await_o3")):
        own = on_own_executor(t, group)
        for depth, target in (("three calls deep", 1.6), ("ten calls deep", 1.8)):
            rows.append((f"… {depth} / not deep, {level}", divide(on_own_executor(t, group, depth), own), "≤", target, None))
    rows += [
        ("`with_portal_run_sync(nothing)` / `co_await child()`",
         ratio(t, "await", "with_portal_run_sync_nothing", "co_await_child"), "≤", 2.0, 1.75),
        ("`portal.run(nothing)` / `co_await child()`", ratio(t, "await", "portal_run_nothing", "co_await_child"), "≤", 1.95, None),
        ("`portal.run(nothing)` / `with_portal_run_sync(nothing)`",
         ratio(t, "await", "portal_run_nothing", "with_portal_run_sync_nothing"), "≤", 1.05, None),
        ("a `co_spawn`ed task with a portal, made, run and ended / a plain `co_spawn`ed coroutine",
         ratio(t, "await", "co_spawn_with_portal_run_sync", "co_spawn_child"), "≤", 1.15, None),
        ("`co_await` of `post` in a task with `ensure_portal` / without",
         ratio(t, "await", "co_await_post_with_ensure_portal", "co_await_post"), "≤", either(1.15, 1.10), None),
        ("`thread_pool` of two threads, throughput: `asio::post(ex, use_portal)` / `co_await` of `post`",
         divide(r.throughput("pool_posts"), r.throughput("pool_co_await_posts")), "≥", 1.5, None),
        ("… `with_portal_run_sync(nothing)` / `co_await child()`",
         divide(r.throughput("pool_portals"), r.throughput("pool_coroutines")), "≥", 0.85, None),
    ]
    for server, target in (("use_portal", 0.99), ("await_", 0.97)):
        for n in CONNECTION_COUNTS:
            what = f"line-echo server, ten calls deep in `{server}`: throughput / a native `co_await` server's" \
                if n == 1 else "…"
            rows.append((f"{what}, {connections_text(n)}", r.echo_ratio("await", server, "co_await", n), "≥", target, None))
    return rows + report_lines.target_rows(r.line_servers)


def connections_text(n):
    return "1 connection" if n == 1 else f"{n:,} connections"


def target_rows(r):
    """What is measured with one Asio only."""
    t, n = r.time, r.count
    portals = r.memory["portals"]
    allocating = ("await_ready", "await_post", "use_portal_post", "use_portal_post_ten_deep", "await_post_with_ensure_portal")
    allocations = [r.allocations.get(row) for row in allocating]
    return [
        ("`asio::post(ex, use_portal)` / the same with `asio::spawn`'s `yield`",
         ratio(t, "spawn", "use_portal_post", "spawn_post"), "≤", 0.56, None),
        ("… ten calls deep", ratio(t, "spawn", "use_portal_post_ten_deep", "spawn_post_ten_deep"), "≤", 0.68, None),
        ("`await_(awaitable)` / `co_spawn(awaitable, yield)` inside `asio::spawn`",
         ratio(t, "spawn", "await_ready", "spawn_co_spawn_ready"), "≤", 0.06, None),
        ("heap allocations per await once warm", None if None in allocations else sum(allocations), "≤", 0, None),
        (f"KiB resident per portal, {portals.get('count', 0):,.0f} of them suspended three calls deep in `use_portal`, all included",
         portals.get("resident_kib_each"), "≤", 4.7, 4.45),
        ("time to make each of them / to touch a page at the same distance",
         divide(portals.get("nanoseconds_to_make_each"), r.memory["pages"].get("nanoseconds_to_make_each")), "≤", 1.25, None),
        ("line-echo server, handler ten calls deep in `await_`: throughput / a native `co_await` server's",
         r.echo_ratio("spawn", "await_", "co_await"), "≥", None, None),
        ("… / an `asio::spawn` server's", r.echo_ratio("spawn", "await_", "spawn"), "≥", 1.0, None),
        ("instructions: `asio::post(ex, use_portal)` / the same with `asio::spawn`'s `yield`",
         ratio(n, "spawn", "use_portal_post", "spawn_post"), "≤", None, None),
        ("… ten calls deep", ratio(n, "spawn", "use_portal_post_ten_deep", "spawn_post_ten_deep"), "≤", None, None),
        ("… `await_(awaitable)` / `co_spawn(awaitable, yield)` inside `asio::spawn`",
         ratio(n, "spawn", "await_ready", "spawn_co_spawn_ready"), "≤", None, None),
    ]


def instruction_targets(r):
    n = r.count
    return [
        ("`await_` / `co_await` of a ready `awaitable`", ratio(n, "await", "await_ready", "co_await_ready"), "≤", 1.0, None),
        ("`asio::post(ex, use_portal)` / `co_await asio::post(ex, use_awaitable)`",
         ratio(n, "await", "use_portal_post", "co_await_post"), "≤", 0.62, None),
        ("`with_portal_run_sync(nothing)` / `co_await child()`",
         ratio(n, "await", "with_portal_run_sync_nothing", "co_await_child"), "≤", 1.95, None),
        ("`asio::post(ex, use_portal)` on the event loop's own executor: instructions", on_own_executor(n, "await"), "≤", 460, None),
        ("… the limit: a handler's `post` and a bare switch there and back", limit(n, "await"), "≤", None, None),
        ("`await_` / `co_await` of `asio::post(ex, use_awaitable)`", ratio(n, "await", "await_post", "co_await_post"),
         "≤", None, None),
        ("`portal.run(nothing)` / `co_await child()`", ratio(n, "await", "portal_run_nothing", "co_await_child"), "≤", None, None),
        ("a `co_spawn`ed task with a portal / a plain `co_spawn`ed coroutine",
         ratio(n, "await", "co_spawn_with_portal_run_sync", "co_spawn_child"), "≤", None, None),
        ("`co_await` of `post` in a task with `ensure_portal` / without",
         ratio(n, "await", "co_await_post_with_ensure_portal", "co_await_post"), "≤", None, None),
    ]


def verdict(measured, sense, target, aim):
    if measured is None:
        return "not measured"
    if target is None:
        return ""
    def reaches(limit):
        return measured <= limit if sense == "≤" else measured >= limit
    if not reaches(target):
        return "**falls short**"
    return "meets, and the aim" if aim is not None and reaches(aim) else "meets"


def target_table(*columns):
    """Each column is its heading and rows, which are the same in each but for what was measured, and the target."""
    head, lines = [""], [[what] for what, *_ in columns[0][1]]
    for heading, rows in columns:
        head += [heading, "target", ""]
        for line, (_, measured, sense, target, aim) in zip(lines, rows, strict=True):
            goal = "" if target is None else f"{sense} {target:g}" + (f", aim {aim:g}" if aim is not None else "")
            # One digit more than the targets have, so that a near miss is seen to be one.
            shown = figure(measured) if measured in (None, 0) or measured >= 100 else f"{measured:.3f}"
            line += [shown, goal, verdict(measured, sense, target, aim)]
    return table(head, lines)
