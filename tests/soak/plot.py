#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A plot of what the soak has sampled each second: plot.py <soak.csv> <blocking calls' csv, or -> <plot.svg>."""

import csv
import statistics
import sys
from html import escape

WIDTH, LEFT, RIGHT, PANEL, GAP, TOP = 810, 70, 20, 130, 46, 50
POINTS = 300  # more than this are drawn as the medians of stretches


def read(path):
    """name of a column → its values, one for each second"""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in rows[0]} if rows else {}


def thin(values):
    """At most POINTS values: (position from 0 to 1, median of its stretch)."""
    size = max(1, -(-len(values) // POINTS))
    return [((i + min(size, len(values) - i) / 2) / len(values), statistics.median(values[i:i + size]))
            for i in range(0, len(values), size)]


def nice_top(value):
    """The least round number that is not below."""
    step = 10 ** (len(str(int(max(value, 1)))) - 1)
    return next(step * n / 2 for n in range(1, 40) if step * n / 2 >= value)


def duration(seconds):
    if seconds >= 120:
        return f"{seconds / 60:.0f} min"
    return f"{seconds:.0f} s"


def panel(top, title, series):
    """series: (class of its line, name, values)"""
    height = nice_top(max(max(value for _, value in thin(values)) for _, _, values in series) * 1.05)
    bottom, width = top + PANEL, WIDTH - LEFT - RIGHT
    out = [f'<text class="title" x="{LEFT}" y="{top - 8}">{escape(title)}</text>']
    for part in (0, 0.5, 1):
        y = bottom - part * PANEL
        out.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>')
        out.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{height * part:g}</text>')
    x = WIDTH - RIGHT
    for name_class, name, values in reversed(series):
        out.append(f'<text class="{name_class}-name" x="{x}" y="{top - 8}" text-anchor="end">{escape(name)}</text>')
        x -= 12 + 7.5 * len(name)
    for name_class, _, values in series:
        points = " ".join(f"{LEFT + at * width:.1f},{bottom - value / height * PANEL:.1f}" for at, value in thin(values))
        out.append(f'<polyline class="{name_class}" points="{points}"/>')
    return out


def per_second(totals):
    return [b - a for a, b in zip([0] + totals, totals)]


def plot(soak, blocking):
    seconds = len(soak["second"])
    memory = [("ours", "clients and servers", soak["resident_mib"])]
    descriptors = [("ours", "clients and servers", soak["descriptors"])]
    if blocking:
        memory.append(("theirs", "hiredis", blocking["resident_mib"]))
        descriptors.append(("theirs", "hiredis", blocking["descriptors"]))
    panels = [("Resident memory, MiB", memory), ("Open descriptors", descriptors),
              ("Portals", [("ours", "live", soak["live"]), ("theirs", "stacks cached", soak["stacks_cached"])]),
              ("Requests per second", [("ours", "answered rightly", per_second(soak["answered"])),
                                       ("theirs", "failed by a known error", per_second(soak["failed"]))])]
    height = TOP + len(panels) * (PANEL + GAP) - 4
    title = f"The soak: {duration(seconds)}"
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
           f'role="img" aria-label="{title}: memory, descriptors, portals and requests">',
           """<style>
    .page { fill: #ffffff } .grid { stroke: #d1d9e0 } polyline { fill: none; stroke-width: 1.5 }
    .ours { stroke: #1a7f4b } .theirs { stroke: #8c959f }
    text { fill: #1f2328; font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif }
    .title { font-weight: 600 } .ours-name { fill: #1a7f4b } .theirs-name { fill: #6e7781 }
    @media (prefers-color-scheme: dark) {
        .page { fill: #0d1117 } .grid { stroke: #30363d } .ours { stroke: #3fb970 } .theirs { stroke: #6e7681 }
        text { fill: #e6edf3 } .ours-name { fill: #3fb970 } .theirs-name { fill: #9198a1 }
    }
</style>""",
           '<rect class="page" width="100%" height="100%" rx="6"/>']
    for number, (name, series) in enumerate(panels):
        out += panel(TOP - 14 + number * (PANEL + GAP), name, series)
    y = height - 12
    out.append(f'<text x="{LEFT}" y="{y}">0</text>')
    out.append(f'<text x="{WIDTH - RIGHT}" y="{y}" text-anchor="end">{duration(seconds)}</text>')
    out.append("</svg>")
    return "\n".join(out) + "\n"


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    soak = read(sys.argv[1])
    blocking = read(sys.argv[2]) if sys.argv[2] != "-" else {}
    if not soak:
        sys.exit(f"{sys.argv[1]} has no samples")
    with open(sys.argv[3], "w") as file:
        file.write(plot(soak, blocking))


if __name__ == "__main__":
    main()
