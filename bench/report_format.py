# SPDX-License-Identifier: MIT
"""Numbers and tables as the page shows them. What was not measured is None."""

import math
import statistics


def divide(a, b):
    return a / b if a is not None and b else None


def add(a, b):
    return a + b if None not in (a, b) else None


def median_of_ratios(pairs):
    """Without rounds in which a server has answered nothing: their rate is 0, their cost infinite."""
    ratios = [a / b for a, b in pairs if a and b and math.isfinite(a) and math.isfinite(b)]
    return statistics.median(ratios) if ratios else None


def figure(value, digits=3):
    if value is None or not math.isfinite(value):
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
