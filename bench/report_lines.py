# SPDX-License-Identifier: MIT
"""The part of the page about bench_lines: servers whose session is an iostream."""

import statistics

from report_format import median_of_ratios

SERVERS = ("iostream", "co_await", "by_hand", "threads")
LOADS = ((50, 1), (50, 10), (2000, 1), (2000, 10))  # connections, lines at once on each; bench/run measures these


class Lines:
    """What bench_lines has printed: for each load and server, the rounds."""

    def __init__(self, lines):
        self.rounds = {}
        for line in lines:
            words = line.split()
            if words[0] == "round":
                load, server = (int(words[3]), int(words[11])), words[2]
                self.rounds.setdefault((load, server), []).append((float(words[5]), float(words[7]), float(words[9])))

    def median(self, load, server, value):
        rounds = self.rounds.get((load, server))
        return statistics.median(r[value] for r in rounds) if rounds else None

    def ratio(self, load, server, other="co_await", value=0):
        """The median of the ratios within a round. Of rates; of costs, if 1."""
        a, b = (self.rounds.get((load, s), ()) for s in (server, other))
        return median_of_ratios((x[value], y[value]) for x, y in zip(a, b))

    def memory(self, load, server):
        """Of the first round: later ones find the memory of the sessions before."""
        rounds = self.rounds.get((load, server))
        return rounds[0][2] if rounds else None


def load_text(load):
    connections, lines = load
    return f"{connections:,} connections, {lines} line{'s' if lines > 1 else ''} at once"


def target_rows(lines):
    rows = []
    for load in LOADS:
        rows.append((f"line server of `std::getline` and `operator<<`: throughput / a native `co_await` server's, {load_text(load)}"
                     if load == LOADS[0] else f"… {load_text(load)}", lines.ratio(load, "iostream"), "≥",
                     0.9 if load[1] == 1 else 1.0, None))
    return rows


def section(groups, table, figure):
    """groups: (name of the Asio, Lines)"""
    out = "\n## A line server of iostreams\n\n"
    out += ("`iostream`: the session is `std::getline` and `operator<<` over `basic_iostream`, in a portal. `co_await`: a "
            "coroutine with `async_read_until` and `async_write` for each line. `by_hand`: a coroutine that keeps its own "
            "buffer, and answers all lines that have arrived by one write. These three have one thread. `threads`: the same "
            "code as `iostream` over Asio's blocking `tcp::iostream`, and a thread for each connection. Memory: resident, and "
            "page tables, of the server's process, for each connection while they are at work.\n")
    for name, lines in groups:
        rows = []
        for load in LOADS:
            for server in SERVERS:
                rows.append((load_text(load), f"`{server}`", figure(lines.median(load, server, 0)),
                             figure(lines.ratio(load, server)), figure(lines.median(load, server, 1)),
                             figure(lines.ratio(load, server, value=1)), figure(lines.memory(load, server))))
        out += f"\n{name}:\n\n"
        out += table(("", "server", "lines/s", "/ `co_await`", "processor ns per line", "/ `co_await`", "KiB per connection"),
                     rows, left=2) if lines.rounds else "Not measured.\n"
    return out
