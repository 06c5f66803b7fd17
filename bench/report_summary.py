# SPDX-License-Identifier: MIT
"""What most readers have come for: a sentence to quote, and what does not speak for the library."""

from report_format import divide, figure
from report_helpers import HELPERS, time_of
from report_targets import connections_text, limit, on_own_executor


def difference(ours, theirs):
    more = ours - theirs
    return f"{figure(abs(more))} ns {'more' if more >= 0 else 'less'}"


def sentence(r):
    """The first of the page. Nothing if a figure is missing."""
    await_, portal, native = (r.time("await", row) for row in ("await_post", "use_portal_post", "co_await_post"))
    portal_kib, coroutine_kib = (r.memory[kind].get("resident_kib_each") for kind in ("portals", "coroutines"))
    if None in (await_, portal, native, portal_kib, coroutine_kib):
        return ""
    machine = dict(line for line in r.machine if len(line) == 2)
    compiler = machine.get("standalone", "").split(", ")[0]
    where = ", ".join(text for text in (machine.get("processor", "").partition(" (")[0], machine.get("kernel", "").partition(",")[0],
                                        compiler, r.asio) if text)
    return (f"To wait in a portal takes {difference(await_, native)} with `await_`, and {difference(portal, native)} with "
            f"`use_portal`, than the {figure(native)} ns of a `co_await`, and a portal that waits holds {figure(portal_kib)} KiB, "
            f"where a coroutine holds {figure(coroutine_kib)} ({where}).\n\n")


def in_short(r):
    """Nothing if a figure is missing."""
    t = r.time
    figures = [on_own_executor(t, "await"), limit(t, "await"),
               *(t("await", row) for row in ("use_portal_post", "await_post", "co_await_post", "await_ready", "co_await_ready")),
               *(r.memory[kind].get("resident_kib_each") for kind in ("portals", "coroutines"))]
    if None in figures:
        return ""
    own, least, portal, await_, native, ready, native_ready, portal_kib, coroutine_kib = map(figure, figures)
    return (f"An operation that suspends takes {portal} ns with `use_portal` (on the event loop's own executor {own} ns, where a "
            f"bare handler and a bare switch take {least} ns) and {await_} ns with `await_`, where `co_await` takes {native} ns; an "
            f"`awaitable` that is ready takes {ready} ns with `await_`, {native_ready} ns with `co_await`; a portal that waits holds "
            f"{portal_kib} KiB, a coroutine {coroutine_kib} KiB.\n\n")


def drawbacks(r):
    """Where something else is cheaper: as many items as this run gives cause for."""
    items = []

    def say(value, is_bad, text):
        if value is not None and is_bad(value):
            items.append(text)

    def times(x):
        return f"{x:.2f} times"

    def above_one(x):
        return x > 1.005

    def below_one(x):
        return x < 0.995

    for x in (r, r.newest):
        ratio = divide(x.time("await", "await_post"), x.time("await", "co_await_post"))
        say(ratio, above_one, f"`await_` of an operation that suspends takes {times(ratio or 0)} as long as `co_await`, {x.asio}.")
    ratio = divide(r.time("await", "with_portal_run_sync_nothing"), r.time("await", "co_await_child"))
    say(ratio, above_one, f"A portal for nothing takes {times(ratio or 0)} as long as a coroutine for nothing.")
    portals, coroutines = (r.memory[kind] for kind in ("portals", "coroutines"))
    memory, tables = (divide(portals.get(what), coroutines.get(what)) for what in ("resident_kib_each", "nanoseconds_to_make_each"))
    say(memory, above_one, f"Of {portals.get('count', 0):,.0f} that wait, each portal holds {times(memory or 0)} the memory of a "
        f"coroutine, and {figure(portals.get('page_tables_kib_each'))} KiB of page tables besides, which stay when it has ended.")
    say(tables, above_one, f"To make each of them takes {times(tables or 0)} as long: a page of its own has to be touched.")
    made, spawned = r.time("spawn", "co_spawn_with_portal_run_sync"), r.time("spawn", "spawn_nothing")
    ratio = divide(made, spawned)
    say(ratio, above_one, f"A task with a portal, made, run and ended, takes {times(ratio or 0)} as long as one of `asio::spawn`.")
    for n in sorted({n for n, _ in r.echo["spawn"]}):
        for server in ("await_", "use_portal"):
            ratio = r.echo_ratio("spawn", server, "spawn", n)
            say(ratio, below_one, f"The line-echo server with {connections_text(n)}: `{server}` answers {ratio or 0:.2f} of what "
                "`asio::spawn` answers.")
    for x in (r, r.newest):
        for server in ("await_", "use_portal"):
            ratio = x.echo_ratio("await", server, "co_await", 2000)
            say(ratio, below_one, f"… with {connections_text(2000)}: `{server}` answers {ratio or 0:.2f} of what `co_await` answers, {x.asio}.")
    for x in (r, r.newest):
        ratio = x.line_servers.ratio((2000, 1), "iostream")
        say(ratio, below_one, f"The line server of iostreams with 2,000 connections, one line at once, answers {ratio or 0:.2f} of what "
            f"`co_await` answers, {x.asio}.")
    ours, native = (r.line_servers.memory((2000, 1), server) for server in ("iostream", "co_await"))
    say(divide(ours, native), above_one, f"It holds {figure(ours)} KiB for each of them, `co_await` {figure(native)}.")
    ratio = divide(r.blocking_calls.get("portals.ns_each_way"), r.blocking_calls.get("co_await.ns_each_way"))
    say(ratio, above_one, f"A blocking call that waits takes {times(ratio or 0)} as long as an awaited operation: it makes more system calls.")
    for x in (r, r.newest):
        slower = []
        for what, row, other, _ in HELPERS:
            ratio = divide(time_of(x, "helpers", row), time_of(x, "helpers", other)) if other != "no_scope" else None
            if ratio and ratio > 1.1:
                slower.append(f"{what} {ratio:.2f}")
        if slower:
            items.append(f"Helpers that take longer than what is written by hand, {x.asio}: {', '.join(slower)}.")
    if not items:
        return "Nothing of what was measured in this run.\n"
    return "".join(f"- {item}\n" for item in items)
