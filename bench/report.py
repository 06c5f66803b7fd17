#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes a page and its plots out of what bench/run has measured: report.py <results> <folder to write to>."""

import json
import math
import re
import statistics
import sys
from html import escape
from pathlib import Path

import report_lines


CONNECTION_COUNTS = (1, 50, 2000)  # of the echo servers
CONNECTIONS = 50  # where only one of them is shown


class Results:
    """What the programs have left in a folder. Whatever is missing reads as None, and the page says "not measured".

    `newest` is the same for the newest standalone Asio, which stands in a folder below: of the programs that are run with
    it there are results, and nothing of the others.
    """

    def __init__(self, folder, has_newest=True):
        self.folder = folder
        self.newest = Results(folder / "newest", False) if has_newest else None
        configuration = " ".join(self.lines("asio.txt"))
        found = re.search(r"Asio [0-9.]+[0-9]", configuration)
        self.asio = found[0] if found else "Asio" if has_newest else "Newest Asio"
        self.processor_times = {}  # of the rows whose measure is real time, of any program
        self.times = {name: self.read_times(name) for name in ("await", "await_o3", "spawn", "peers", "threads")}
        self.echo = {"await": self.read_echo("echo"), "spawn": self.read_echo("echo_beside_spawn")}
        self.line_servers = report_lines.Lines(self.lines("lines.txt"))
        self.memory = self.read_memory()
        self.allocations = self.read_values("allocations")
        self.instructions = self.read_instructions()
        self.machine = [line.split(": ", 1) for line in self.lines("machine.txt")]

    def lines(self, name):
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def read_times(self, name):
        """name → nanoseconds of each repetition: processor time, or real time where that is the row's measure."""
        path = self.folder / f"{name}.json"
        if not path.exists():
            return {}
        times = {}
        runs = json.loads(path.read_text())["benchmarks"]
        # In the order of the source; they ran in another.
        for run in sorted(runs, key=lambda run: (run["family_index"], run["per_family_instance_index"])):
            if run["run_type"] == "iteration" and not run.get("error_occurred"):
                real = "/real_time" in run["run_name"]
                scale = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}[run["time_unit"]]
                row = run["run_name"].replace("/real_time", "")
                # Of a row with items only those count, whatever an iteration is made of.
                time = 1e9 / run["items_per_second"] if "items_per_second" in run else \
                    run["real_time" if real else "cpu_time"] * scale
                times.setdefault(row, []).append(time)
                if real:
                    self.processor_times.setdefault(row, []).append(run["cpu_time"] * time / run["real_time"])
        return times

    def read_echo(self, name):
        """(connections, server) → [(requests per second, processor nanoseconds per request)], one for each round."""
        rounds = {}
        for line in self.lines(f"{name}.txt"):
            words = line.split()
            if words[0] == "round":
                rounds.setdefault((int(words[3]), words[2]), []).append((float(words[5]), float(words[7])))
        return rounds

    def read_values(self, name):
        values = {}
        for line in self.lines(f"{name}.txt"):
            words = line.split()
            if len(words) == 2 and words[1].replace(".", "", 1).lstrip("-").isdigit():
                values[words[0]] = float(words[1])
        return values

    def read_memory(self):
        """kind → what was measured → value"""
        kinds = {"portals": {}, "coroutines": {}, "pages": {}}
        for name, value in self.read_values("memory").items():
            kind, what = name.split(".")
            kinds[kind][what] = value
        return kinds

    def read_instructions(self):
        counts = {}
        for line in self.lines("instructions.txt"):
            if not line.startswith("#"):
                program, row, count = line.split()
                group = "spawn" if program.endswith("beside_spawn") else "await"
                counts.setdefault(group, {})[row] = int(count)
        return counts

    def time(self, group, row):
        repetitions = self.times[group].get(row)
        return statistics.median(repetitions) if repetitions else None

    def spread(self, group, row):
        """Half the distance between the quartiles, relative to the median."""
        repetitions = self.times[group].get(row)
        if not repetitions or len(repetitions) < 3:
            return None
        lower, middle, upper = statistics.quantiles(repetitions, n=4)
        return (upper - lower) / 2 / middle

    def count(self, group, row):
        return self.instructions.get(group, {}).get(row)

    def rate(self, group, server, connections=CONNECTIONS):
        rounds = self.echo[group].get((connections, server))
        return statistics.median(r for r, _ in rounds) if rounds else None

    def cost(self, group, server, connections=CONNECTIONS):
        rounds = self.echo[group].get((connections, server))
        return statistics.median(c for _, c in rounds) if rounds else None

    def echo_ratio(self, group, server, other, connections=CONNECTIONS, value=0):
        """The median of the ratios within a round: what slows down a round slows down both. Of rates; of costs, if 1."""
        a, b = (self.echo[group].get((connections, name)) for name in (server, other))
        return statistics.median(x[value] / y[value] for x, y in zip(a, b)) if a and b else None

    def throughput(self, row):
        """Per second, of a row of bench_threads, with two threads."""
        time = self.time("threads", f"{row}/2")
        return 1e9 / time if time else None


def divide(a, b):
    return a / b if a is not None and b else None


def add(a, b):
    return a + b if None not in (a, b) else None


def figure(value, digits=3):
    if value is None:
        return "not measured"
    if value == int(value):
        return f"{value:,.0f}"
    if abs(value) < 0.1:
        digits += 1
    return f"{value:.{digits - 1}f}" if abs(value) < 100 else f"{value:,.0f}"


def table(head, rows, left=1):
    """A Markdown table, with the first `left` columns aligned left."""
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join("---" if i < left else "---:" for i in range(len(head))) + "|"]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


# ---- the targets -----------------------------------------------------------------------------------------------------


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


# ---- the plots -------------------------------------------------------------------------------------------------------

STYLE = """
    .page { fill: #ffffff } .ours { fill: #1a7f4b } .theirs { fill: #8c959f } .line { stroke: #8c959f }
    text { fill: #1f2328; font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif }
    .title { font-weight: 600; font-size: 15px }
    @media (prefers-color-scheme: dark) {
        .page { fill: #0d1117 } .ours { fill: #3fb970 } .theirs { fill: #6e7681 } .line { stroke: #6e7681 }
        text { fill: #e6edf3 }
    }
"""


def plot(path, title, unit, bars, note="", logarithmic=False):
    """Horizontal bars: (label, value, is it ours). Those without a value are left out; so is a plot without bars."""
    bars = [bar for bar in bars if bar[1]]
    if not bars:
        path.unlink(missing_ok=True)
        return False
    left, width, right, step, top = 300, 360, 150, 28, 44
    height = top + step * len(bars) + (34 if note else 14)
    largest = max(value for _, value, _ in bars)
    base = 10 ** math.floor(math.log10(min(value for _, value, _ in bars))) if logarithmic else 0

    def length(value):
        if logarithmic:
            return width * math.log(value / base) / math.log(largest / base) if largest > base else width
        return width * value / largest

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + right}" height="{height}" '
        f'viewBox="0 0 {left + width + right} {height}" role="img" aria-label="{escape(title, quote=True)}">',
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="100%" height="100%" rx="6"/>',
        f'<text class="title" x="16" y="27">{escape(title)}</text>',
    ]
    for i, (label, value, ours) in enumerate(bars):
        y = top + step * i
        out.append(f'<text x="{left - 10}" y="{y + 17}" text-anchor="end">{escape(label)}</text>')
        out.append(f'<rect class="{"ours" if ours else "theirs"}" x="{left}" y="{y + 4}" width="{max(length(value), 1):.1f}" '
                   f'height="{step - 10}" rx="2"/>')
        text = f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
        out.append(f'<text x="{left + length(value) + 8:.1f}" y="{y + 17}">{text} {escape(unit)}</text>')
    out.append(f'<path class="line" d="M{left} {top}V{top + step * len(bars)}"/>')
    if note:
        out.append(f'<text x="16" y="{height - 12}">{escape(note)}</text>')
    path.write_text("\n".join(out + ["</svg>\n"]))
    return True


def echo_groups(r):
    """Whose servers there are: by name, the results they are in and their group there."""
    return ((r.asio, r, "await"), (r.newest.asio, r.newest, "await"), ("Boost.Asio", r, "spawn"))


def plots(r, folder):
    t = r.time
    made = {}
    made["await"] = plot(
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
    made["spawn"] = plot(
        folder / "benchmarks-spawn.svg", "Beside asio::spawn, Boost.Asio", "ns",
        [
            ("post(yield) in asio::spawn", t("spawn", "spawn_post"), False),
            ("post(use_portal)", t("spawn", "use_portal_post"), True),
            ("post(yield), ten calls deep", t("spawn", "spawn_post_ten_deep"), False),
            ("post(use_portal), ten calls deep", t("spawn", "use_portal_post_ten_deep"), True),
            ("co_spawn(awaitable, yield)", t("spawn", "spawn_co_spawn_ready"), False),
            ("await_(awaitable)", t("spawn", "await_ready"), True),
        ])
    made["peers"] = plot(
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
    made["echo"] = plot(folder / "benchmarks-echo.svg", f"Line-echo server on one thread, {connections_text(CONNECTIONS)}",
                        "requests/s", echo)
    return made


# ---- the page --------------------------------------------------------------------------------------------------------


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


def in_short(r):
    """What most readers have come for. Nothing if a figure is missing."""
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


def page(r, made):
    newest = r.newest
    times = [(r.asio, asio_targets(r, False)), (newest.asio, asio_targets(newest, True))]
    instructions = [(x.asio, instruction_targets(x)) for x in (r, newest)]
    others = target_rows(r)
    targets = [row for rows in (*(rows for _, rows in times + instructions), others) for row in rows]
    short = sum("short" in verdict(*row[1:]) for row in targets)
    missing = sum(row[1] is None for row in targets)
    why = Path(__file__).with_name("why.md")
    machine = dict(line for line in r.machine if len(line) == 2)

    def image(name, text):
        return f"![{text}](benchmarks-{name}.svg)\n\n" if made[name] else ""

    out = "# Benchmarks\n\n<!-- Written by bench/run. Don't edit: run it again. -->\n\n"
    if "quick" in machine:
        out += "**From a quick run: these figures only show that the benchmarks work.**\n\n"
    out += in_short(r)
    out += "Below: the same as ratios, with a target for each; then everything that was measured, beside what else there is.\n"
    out += "\n## Targets\n\nRatios of medians; smaller is better unless the target says ≥. "
    out += "All targets are met." if not short + missing else \
        f"{short} of {sum(row[3] is not None for row in targets)} targets are missed" + \
        (f", {missing} figures are missing." if missing else ".")
    out += ("\n\nThe limit of an await that suspends is what Asio takes to run a handler that was posted, and a bare switch there and "
            "back: `handler_post` + `boost_context_round_trip`, measured in the same run. Where nothing else is said, programs are "
            "compiled with -O2.\n\n" + target_table(*times))
    out += "\nInstructions per operation, which do not depend on what else the machine does:\n\n" + target_table(*instructions)
    out += (f"\nWith one Asio only: `asio::spawn`, and the server beside it with {connections_text(CONNECTIONS)}, on Boost.Asio; "
            f"allocations and memory on {r.asio}.\n\n" + target_table(("measured", others)))
    if why.exists():
        out += "\n### Why\n\n" + why.read_text().strip() + "\n"

    out += "\n## An await\n\n" + image("await", "Bars: nanoseconds per await")
    for results in (r, newest):
        out += f"{results.asio}:\n\n" + (time_table(results, "await", with_instructions=True, with_o3=True)
                                         if results.times["await"] else "Not measured.\n") + "\n"
    out += ("What a bare switch takes that is left from within calls is the limit of rows that are so deep: the event loop enters it "
            "from within one call, and the processor mispredicts the returns of calls that lie between the two.\n\n" + limit_table(r))
    out += "\n## Beside asio::spawn\n\n" + image("spawn", "Bars: nanoseconds, asio::spawn and portals")
    out += ("All on Boost.Asio. `asio::spawn` has no way to await an `awaitable` but to spawn it as a task "
            "(with `as_tuple(yield)`: plain `yield` can't be used for that on Boost 1.81).\n\n"
            + time_table(r, "spawn", with_instructions=True))
    out += "\n## Beside other libraries\n\n" + image("peers", "Bars: nanoseconds per wait, by library")
    out += ("Real time of one wait that suspends: to the scheduler and back (`post`, `yield`), or for a value that another "
            f"fiber or thread provides (`future`, `channel`). On {r.asio}.\n\n" + time_table(r, "peers"))
    out += "\n## Threads\n\n"
    out += ("Throughput with one thread and with two. In the first rows each thread has an event loop of its own, so that "
            "greenback's pool of stacks (and malloc) is all they share: near 2 means that portals on different threads do not "
            "wait for each other (where two processors are free), and so does processor time that stays the same. The `pool_` rows share one `thread_pool`, whose queue has a lock of Asio's; compare them "
            "with the rows of plain coroutines.\n\n" + threads_table(r))
    out += "\n## Memory\n\n"
    out += ("Tasks that wait for a timer, three calls (or coroutines) deep; default sysctls. Beside them: what the system takes "
            "for as many pages at the distance of stacks, touched once and given back. The three are processes that take turns "
            "in making a thousand at a time: a first touch costs between one and thirty microseconds, by what the system, and "
            "the host of a virtual machine, have at hand. What stays resident at the end is free memory of `malloc`'s; page "
            "tables of stacks stay, for they hold the guards.\n\n" + memory_table(r))
    out += "\n## Allocations\n\nCalls of `operator new` per operation, once warm.\n\n"
    out += table(("operation", "allocations"), [(f"`{k}`", f"{v:g}") for k, v in r.allocations.items()])
    out += "\n## A line-echo server\n\n" + image("echo", "Bars: requests per second, by server")
    out += ("Each server is a process with one thread; the `await_`, `use_portal` and `spawn` servers read and write each "
            "line ten calls below the session's loop. A client in another process keeps a line on its way on each connection. "
            "The servers take turns in every round; the figures are medians, the ratios those of the rounds.\n")
    for n in CONNECTION_COUNTS:
        out += f"\n{connections_text(n).capitalize()}:\n\n" + echo_table(r, n)
    out += report_lines.section([(x.asio, x.line_servers) for x in (r, r.newest)], table, figure)

    out += "\n## Method\n\n"
    out += ("`bench/run` builds the presets `bench` and `newer-asio-bench` and writes this page. Times are processor times from Google Benchmark (real "
            "times beside other libraries and with several threads), medians of repetitions in an order that changes at "
            "random; the spread is half the distance between the quartiles. Instructions are counted by callgrind: each "
            "operation runs twice, a different number of times, and the difference leaves out what happens once. "
            "`bench/instructions.sh` compares them with the committed counts, also as a test of the preset.\n\n")
    for name, value in r.machine:
        if name not in ("package", "quick"):
            out += f"- {name}: {value}\n"
    packages = [value for name, value in r.machine if name == "package"]
    if packages:
        out += f"- packages: {', '.join(packages)}\n"
    return out


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    r = Results(Path(sys.argv[1]))
    folder = Path(sys.argv[2])
    folder.mkdir(exist_ok=True)
    (folder / "benchmarks.md").write_text(page(r, plots(r, folder)))


if __name__ == "__main__":
    main()
