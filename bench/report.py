#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes a page and its plots out of what bench/run has measured: report.py <results> <folder to write to>."""

import sys
from pathlib import Path

import report_helpers
import report_lines
import report_side_by_side
from report_format import figure, table
from report_plots import plots
from report_results import CONNECTION_COUNTS, CONNECTIONS, Results
from report_summary import drawbacks, in_short, sentence
from report_tables import echo_table, limit_table, memory_table, threads_table, time_table
from report_targets import asio_targets, connections_text, instruction_targets, target_rows, target_table, verdict


def targets_section(r):
    newest = r.newest
    times = [(r.asio, asio_targets(r, False)), (newest.asio, asio_targets(newest, True))]
    instructions = [(x.asio, instruction_targets(x)) for x in (r, newest)]
    others = target_rows(r)
    targets = [row for rows in (*(rows for _, rows in times + instructions), others) for row in rows]
    short = sum("short" in verdict(*row[1:]) for row in targets)
    missing = sum(row[1] is None for row in targets)
    why = Path(__file__).with_name("why.md")
    out = "\n## Targets\n\nRatios of medians; smaller is better unless the target says ≥. "
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
    return out


def page(r, made):
    machine = dict(line for line in r.machine if len(line) == 2)

    def image(name, text):
        return f"![{text}](benchmarks-{name}.svg)\n\n" if made[name] else ""

    out = "# Benchmarks\n\n<!-- Written by bench/run. Don't edit: run it again. -->\n\n"
    if "quick" in machine:
        out += "**From a quick run: these figures only show that the benchmarks work.**\n\n"
    out += sentence(r) + in_short(r)
    out += ("Below: plots; what does not speak for the library; every Asio side by side; ratios, with a target for each; then "
            "everything that was measured, beside what else there is.\n\n")
    out += "\n## In pictures\n\n" + image("await", "Bars: nanoseconds per await")
    out += image("depth", "Curves: nanoseconds over the depth of the call stack")
    out += image("many-time", "Curves: nanoseconds over the number of suspended portals")
    out += image("many-memory", "Curves: KiB over the number of suspended portals")
    out += ("The depth: from the top, each operation calls (or awaits) down to the bottom, waits there once and returns. One wait "
            "after another at the bottom costs the same at any depth. Many: see [memory](#memory); the first few find a stack "
            "that is kept, and where they are few, their time is what one pass of the event loop takes.\n")
    out += "\n## Where others are cheaper\n\n" + drawbacks(r)
    out += report_side_by_side.section(r)
    out += targets_section(r)
    out += "\n## An await\n\n"
    for results in (r, r.newest):
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
    out += report_helpers.section(r)
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
