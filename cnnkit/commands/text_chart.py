"""A curve in letters, for terminals and files: one line over an axis of powers of ten."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

HEIGHT = 12
"""Lines that the curve has."""

WIDEST = 100
"""Columns that it has at the most: a wider one tells no more."""

LINE, MARK = "*", "^"


def chart(points: Sequence[tuple[float, float]], most: float, marks: Sequence[float], width: int) -> list[str]:
    """Draws a curve.

    Args:
        points: Its points (x, y) from left to right, two or more; all x are more than 0.
        most: The y at the top; what is above is drawn at the top.
        marks: Some x to point at, below the axis.
        width: Columns that there are.
    """
    least = min(y for _, y in points)
    most = max(most, least + 1e-9)
    labels = [f"{least + (most - least) * part:.3g}" for part in (0.0, 0.5, 1.0)]
    margin = max(map(len, labels)) + 2
    columns = max(min(width, WIDEST) - margin, 8)
    left, right = (math.log10(x) for x in (points[0][0], points[-1][0]))

    def column(x: float) -> int:
        return round((math.log10(x) - left) / (right - left) * (columns - 1))

    def row(y: float) -> int:
        return round((min(y, most) - least) / (most - least) * (HEIGHT - 1))

    drawn = [[" "] * columns for _ in range(HEIGHT)]
    for (x, y), (next_x, next_y) in pairwise(points):
        for at in range(column(x), column(next_x) + 1):
            share = (at - column(x)) / max(column(next_x) - column(x), 1)
            drawn[row(y + share * (next_y - y))][at] = LINE
    beside = {0: labels[0], (HEIGHT - 1) // 2: labels[1], HEIGHT - 1: labels[2]}
    lines = [
        f"{beside.get(number, ''):>{margin - 2}} |{''.join(signs)}".rstrip()
        for number, signs in reversed([*enumerate(drawn)])
    ]
    axis, under = ["-"] * columns, [" "] * columns
    end = -2
    for power in range(math.ceil(left), math.floor(right) + 1):
        at, label = column(10.0**power), f"1e{power:+03d}"
        axis[at] = "+"
        start = min(max(at - len(label) // 2, 0), columns - len(label))
        if start > end + 1:
            under[start : start + len(label)] = label
            end = start + len(label)
    pointed = [" "] * columns
    for x in marks:
        pointed[min(max(column(x), 0), columns - 1)] = MARK
    indent = " " * margin
    lines.append(f"{' ' * (margin - 2)} +{''.join(axis)}")
    lines += [f"{indent}{''.join(pointed)}".rstrip()] * bool(marks)
    return [*lines, f"{indent}{''.join(under)}".rstrip()]
