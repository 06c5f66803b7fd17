# SPDX-License-Identifier: MIT
"""Which plots there are, and of what."""

from report_results import CONNECTIONS
from report_svg import bars, curves
from report_tables import echo_groups
from report_targets import connections_text, limit, on_own_executor


def plots(r, folder):
    t = r.time
    made = {}
    made["await"] = bars(
        folder / "benchmarks-await.svg", f"One await that suspends, {r.asio}", "ns",
        [
            ("co_await post(use_awaitable)", t("await", "co_await_post"), False),
            ("await_(post(use_awaitable))", t("await", "await_post"), True),
            ("post(use_portal)", t("await", "use_portal_post"), True),
            ("post(use_portal), the loop's own executor", on_own_executor(t, "await"), True),
            ("its limit: a handler and a bare switch", limit(t, "await"), False),
            ("co_await post, ten coroutines deep", t("await", "co_await_post_ten_deep"), False),
            ("post(use_portal), ten calls deep", t("await", "use_portal_post_ten_deep"), True),
        ])
    made["spawn"] = bars(
        folder / "benchmarks-spawn.svg", "Beside asio::spawn, Boost.Asio", "ns",
        [
            ("post(yield) in asio::spawn", t("spawn", "spawn_post"), False),
            ("post(use_portal)", t("spawn", "use_portal_post"), True),
            ("post(yield), ten calls deep", t("spawn", "spawn_post_ten_deep"), False),
            ("post(use_portal), ten calls deep", t("spawn", "use_portal_post_ten_deep"), True),
            ("co_spawn(awaitable, yield)", t("spawn", "spawn_co_spawn_ready"), False),
            ("await_(awaitable)", t("spawn", "await_ready"), True),
        ])
    made["peers"] = bars(
        folder / "benchmarks-peers.svg", "One wait, by library", "ns",
        [
            ("greenback: post(use_portal)", t("peers", "use_portal_post"), True),
            ("greenback: await_(post)", t("peers", "await_post"), True),
            ("Asio: co_await post", t("peers", "co_await_post"), False),
            ("Boost.Fiber: yield", t("peers", "fiber_yield"), False),
            ("Boost.Fiber: channel round trip", t("peers", "fiber_channel_round_trip"), False),
            ("Boost.Fiber: future", t("peers", "fiber_future"), False),
            ("thread: std::future", t("peers", "thread_future"), False),
            ("thread: std::async", t("peers", "thread_async"), False),
        ], "The scale is logarithmic.", logarithmic=True)
    echo = []
    for name, results, group in echo_groups(r):
        echo.append((f"{name}: co_await", results.rate(group, "co_await"), False))
        echo += [(f"{name}: {server}, ten calls deep", results.rate(group, server), True) for server in ("await_", "use_portal")]
    echo.append(("Boost.Asio: asio::spawn, ten calls deep", r.rate("spawn", "spawn"), False))
    made["echo"] = bars(folder / "benchmarks-echo.svg", f"Line-echo server on one thread, {connections_text(CONNECTIONS)}",
                        "requests/s", echo)
    many = {kind: r.many.get(kind, {}) for kind in ("portals", "coroutines", "pages")}

    def over_count(kind, what):
        points = many[kind].get(f"{what}_each", [])
        # Of few it is the pages of the program itself that are seen, if they are touched for the first time meanwhile.
        return [point for point in points if point[0] >= 100] if "kib" in what else points

    made["many-time"] = curves(
        folder / "benchmarks-many-time.svg", f"Many that wait: the time for each, {r.asio}", "suspended at once", "ns each",
        [
            ("make a portal", "ours", over_count("portals", "nanoseconds_to_make")),
            ("limit: touch a page", "limit", over_count("pages", "nanoseconds_to_make")),
            ("make a coroutine", "theirs", over_count("coroutines", "nanoseconds_to_make")),
            ("resume and end a portal", "ours dotted", over_count("portals", "nanoseconds_to_end")),
            ("resume and end a coroutine", "theirs dotted", over_count("coroutines", "nanoseconds_to_end")),
        ])
    made["many-memory"] = curves(
        folder / "benchmarks-many-memory.svg", f"Many that wait: the memory of each, {r.asio}", "suspended at once", "KiB each",
        [
            ("a portal, resident", "ours", over_count("portals", "resident_kib")),
            ("limit: a page, resident", "limit", over_count("pages", "resident_kib")),
            ("a coroutine, resident", "theirs", over_count("coroutines", "resident_kib")),
            ("a portal, page tables", "ours dotted", over_count("portals", "page_tables_kib")),
            ("a coroutine, page tables", "theirs dotted", over_count("coroutines", "page_tables_kib")),
        ])
    made["depth"] = curves(
        folder / "benchmarks-depth.svg", f"A wait at the bottom of the stack, {r.asio}", "calls, or coroutines, deep", "ns",
        [
            ("called from the top: co_await", "theirs", r.by_depth("call_co_await")),
            ("called from the top: await_", "ours", r.by_depth("call_await")),
            ("called from the top: use_portal", "more", r.by_depth("call_use_portal")),
            ("the calls alone", "limit", r.by_depth("call_alone")),
            ("one after another: co_await", "theirs dotted", r.by_depth("stay_co_await")),
            ("one after another: await_", "ours dotted", r.by_depth("stay_await")),
            ("one after another: use_portal", "more dotted", r.by_depth("stay_use_portal")),
        ])
    return made
