# SPDX-License-Identifier: MIT
"""What bench/run has left in its folder."""

import json
import re
import statistics

import report_lines
from report_format import median_of_ratios

CONNECTION_COUNTS = (1, 50, 2000)  # of the echo servers
CONNECTIONS = 50  # where only one of them is shown
PROGRAMS = ("await", "await_o3", "spawn", "peers", "threads", "helpers", "streams", "depth")  # of Google Benchmark
# Whose counts belong to which of these, where it isn't "await".
COUNTED = {"beside_spawn": "spawn", "on_boost_asio": "spawn", "of_helpers": "helpers"}


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
        self.times = {name: self.read_times(name) for name in PROGRAMS}
        self.echo = {"await": self.read_echo("echo"), "spawn": self.read_echo("echo_beside_spawn")}
        self.line_servers = report_lines.Lines(self.lines("lines.txt"))
        self.memory = self.read_memory(self.lines("memory.txt"))
        self.many = self.read_many()
        self.blocking_calls = self.read_values(self.lines("blocking_calls.txt"))
        self.allocations = self.read_values(self.lines("allocations.txt"))
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

    def read_values(self, lines):
        values = {}
        for line in lines:
            words = line.split()
            if len(words) == 2 and words[1].replace(".", "", 1).lstrip("-").isdigit():
                values[words[0]] = float(words[1])
        return values

    def read_memory(self, lines):
        """kind → what was measured → value"""
        kinds = {"portals": {}, "coroutines": {}, "pages": {}}
        for name, value in self.read_values(lines).items():
            kind, what = name.split(".")
            kinds[kind][what] = value
        return kinds

    def read_many(self):
        """kind → what was measured → [(count, median of the repetitions)], with counts in order"""
        repetitions = {}
        for line in self.lines("many.txt"):
            if line.startswith("=="):
                repetitions.setdefault(int(line.split()[1]), []).append([])
                latest = repetitions[int(line.split()[1])][-1]
            else:
                latest.append(line)
        series = {}
        for count in sorted(repetitions):
            values = {}
            for lines in repetitions[count]:
                for kind, measured in self.read_memory(lines).items():
                    for what, value in measured.items():
                        values.setdefault((kind, what), []).append(value)
            for (kind, what), all_of_it in values.items():
                series.setdefault(kind, {}).setdefault(what, []).append((count, statistics.median(all_of_it)))
        return series

    def read_instructions(self):
        counts = {}
        for line in self.lines("instructions.txt"):
            if not line.startswith("#"):
                program, row, count = line.split()
                group = COUNTED.get(program.removeprefix("bench_instructions_"), "await")
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
        a, b = (self.echo[group].get((connections, name), ()) for name in (server, other))
        return median_of_ratios((x[value], y[value]) for x, y in zip(a, b))

    def throughput(self, row):
        """Per second, of a row of bench_threads, with two threads."""
        time = self.time("threads", f"{row}/2")
        return 1e9 / time if time else None

    def by_depth(self, row):
        """[(depth, ns)] of a row of bench_depth"""
        points = ((name.partition("/"), self.time("depth", name)) for name in self.times["depth"])
        return [(int(depth), time) for (name, _, depth), time in points if name == row]
