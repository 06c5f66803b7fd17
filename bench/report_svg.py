# SPDX-License-Identifier: MIT
"""Plots as SVG: bars, and curves over a logarithmic axis. They have the colours that the reader's system has, light or dark."""

import math
from html import escape

STYLE = """
    .page { fill: #ffffff } .ours { fill: #1a7f4b } .theirs { fill: #8c959f } .line { stroke: #8c959f }
    .grid { stroke: #d8dee4 } .curve { fill: none; stroke-width: 2.5 }
    .curve.ours { stroke: #1a7f4b; fill: none } .curve.more { stroke: #0969da } .curve.theirs { stroke: #8250df; fill: none }
    .curve.limit { stroke: #57606a; stroke-dasharray: 7 4 }
    .curve.dotted { stroke-dasharray: 2 4 }
    .dot.ours { fill: #1a7f4b } .dot.more { fill: #0969da } .dot.theirs { fill: #8250df } .dot.limit { fill: #57606a }
    text { fill: #1f2328; font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif }
    .title { font-weight: 600; font-size: 15px }
    @media (prefers-color-scheme: dark) {
        .page { fill: #0d1117 } .ours { fill: #3fb970 } .theirs { fill: #6e7681 } .line { stroke: #6e7681 }
        .grid { stroke: #2b3138 }
        .curve.ours { stroke: #3fb970 } .curve.more { stroke: #58a6ff } .curve.theirs { stroke: #bc8cff }
        .curve.limit { stroke: #9198a1 }
        .dot.ours { fill: #3fb970 } .dot.more { fill: #58a6ff } .dot.theirs { fill: #bc8cff } .dot.limit { fill: #9198a1 }
        text { fill: #e6edf3 }
    }
"""


def begin(width, height, title):
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title, quote=True)}">',
        f"<style>{STYLE}</style>",
        '<rect class="page" width="100%" height="100%" rx="6"/>',
        f'<text class="title" x="16" y="27">{escape(title)}</text>',
    ]


def bars(path, title, unit, rows, note="", logarithmic=False):
    """Horizontal bars: (label, value, is it ours). Those without a value are left out; so is a plot without bars."""
    rows = [row for row in rows if row[1]]
    if not rows:
        path.unlink(missing_ok=True)
        return False
    left, width, right, step, top = 300, 360, 150, 28, 44
    height = top + step * len(rows) + (34 if note else 14)
    largest = max(value for _, value, _ in rows)
    base = 10 ** math.floor(math.log10(min(value for _, value, _ in rows))) if logarithmic else 0

    def length(value):
        if logarithmic:
            return width * math.log(value / base) / math.log(largest / base) if largest > base else width
        return width * value / largest

    out = begin(left + width + right, height, title)
    for i, (label, value, ours) in enumerate(rows):
        y = top + step * i
        out.append(f'<text x="{left - 10}" y="{y + 17}" text-anchor="end">{escape(label)}</text>')
        out.append(f'<rect class="{"ours" if ours else "theirs"}" x="{left}" y="{y + 4}" width="{max(length(value), 1):.1f}" '
                   f'height="{step - 10}" rx="2"/>')
        text = f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
        out.append(f'<text x="{left + length(value) + 8:.1f}" y="{y + 17}">{text} {escape(unit)}</text>')
    out.append(f'<path class="line" d="M{left} {top}V{top + step * len(rows)}"/>')
    if note:
        out.append(f'<text x="16" y="{height - 12}">{escape(note)}</text>')
    path.write_text("\n".join(out + ["</svg>\n"]))
    return True


def tick(value):
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def apart(wanted, least, lowest, highest):
    """Positions near the wanted ones, of which none is closer to another than that."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed = [0.0] * len(wanted)
    at = lowest - least
    for i in order:
        at = placed[i] = max(wanted[i], at + least)
    at = highest + least
    for i in reversed(order):
        at = placed[i] = min(placed[i], at - least)
    return placed


def curves(path, title, x_text, y_text, series):
    """Both axes logarithmic: (label, class, [(x, y)]). Points that a logarithm can't show are left out, and so is a plot
    without points. Each curve has its label at its end."""
    series = [(label, kind, [(x, y) for x, y in points if x > 0 and y and y > 0]) for label, kind, points in series]
    series = [s for s in series if s[2]]
    if not series:
        path.unlink(missing_ok=True)
        return False
    left, width, right, top, plot_height, bottom = 78, 440, 292, 66, 280, 52
    xs = [x for _, _, points in series for x, _ in points]
    ys = [y for _, _, points in series for _, y in points]
    x_low, x_high = math.log10(min(xs)), math.log10(max(xs))
    y_low, y_high = math.floor(math.log10(min(ys)) + 1e-9), math.ceil(math.log10(max(ys)) - 1e-9)
    if x_high <= x_low:
        x_high = x_low + 1
    if y_high <= y_low:
        y_high = y_low + 1

    def place(x, y):
        return (left + width * (math.log10(x) - x_low) / (x_high - x_low),
                top + plot_height * (y_high - math.log10(y)) / (y_high - y_low))

    out = begin(left + width + right, top + plot_height + bottom, title)
    out.append(f'<text x="16" y="49">{escape(y_text)}</text>')
    for power in range(y_low, y_high + 1):
        y = place(min(xs), 10 ** power)[1]
        out.append(f'<path class="grid" d="M{left} {y:.1f}H{left + width}"/>')
        out.append(f'<text x="{left - 8}" y="{y + 4.5:.1f}" text-anchor="end">{tick(10 ** power)}</text>')
    for power in range(math.ceil(x_low - 1e-9), math.floor(x_high + 1e-9) + 1):
        x = place(10 ** power, min(ys))[0]
        out.append(f'<path class="grid" d="M{x:.1f} {top}V{top + plot_height}"/>')
        out.append(f'<text x="{x:.1f}" y="{top + plot_height + 19}" text-anchor="middle">{tick(10 ** power)}</text>')
    out.append(f'<text x="{left + width / 2}" y="{top + plot_height + 40}" text-anchor="middle">{escape(x_text)}</text>')
    out.append(f'<path class="line" fill="none" d="M{left} {top}V{top + plot_height}H{left + width}"/>')
    ends = [place(*points[-1]) for _, _, points in series]
    heights = apart([y for _, y in ends], 18, top + 6, top + plot_height)
    for (label, kind, points), (end_x, end_y), y in zip(series, ends, heights):
        where = [place(*point) for point in points]
        out.append(f'<path class="curve {kind}" d="M' + "L".join(f"{a:.1f} {b:.1f}" for a, b in where) + '"/>')
        out += [f'<circle class="dot {kind}" cx="{a:.1f}" cy="{b:.1f}" r="3"/>' for a, b in where]
        out.append(f'<path class="line" d="M{end_x + 6:.1f} {end_y:.1f}L{left + width + 20} {y:.1f}"/>')
        out.append(f'<text x="{left + width + 25}" y="{y + 4.5:.1f}">{escape(label)}</text>')
    path.write_text("\n".join(out + ["</svg>\n"]))
    return True
