"""What a person sees of an evaluation: every class, the headline figures, the confusion matrix."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.text import Text

from cnnkit.commands.screen import Content, new_table

WIDE = 130
"""Columns of a screen from which on the table of the classes has intervals."""


def evaluation_tables(result: dict[str, Any], width: int) -> Iterator[Content]:
    """The metrics of each class, and the confusion matrix where the screen is wide enough for it."""
    from cnnkit.evaluation.metrics import CLASS_METRICS, figure_lines

    bounds = width >= WIDE
    table = new_table("class", ">images", *(f">{metric.text}" for metric in CLASS_METRICS))
    for entry in result["classes"]:
        values = (_figure(entry, metric.name, bounds) for metric in CLASS_METRICS)
        table.add_row(entry["name"], f"{entry['images']:,}", *values)
    yield from (table, "")
    figures = new_table("figure", ">value", ">95 % interval")
    for said, value, ends in figure_lines(result):
        figures.add_row(said, f"{value:.4f}", f"{ends[0]:.4f} to {ends[1]:.4f}" if ends else "")
    yield from (figures, "")
    names = [entry["name"] for entry in result["classes"]]
    if sum(max(len(name), 3) + 3 for name in names) + max(map(len, names)) + 18 > width:
        return
    matrix = new_table("is \\ predicted", *(f">{name}" for name in names))
    for name, row in zip(names, result["confusion"], strict=True):
        counts = (
            Text(str(count) if count else ".", style="bold" if name == other else "")
            for other, count in zip(names, row, strict=True)
        )
        matrix.add_row(name, *counts)
    yield from (matrix, "")


def _figure(entry: dict[str, Any], name: str, bounds: bool) -> str:
    """A figure of a class, with its interval if wanted and there; results of earlier versions lack some figures."""
    value, ends = entry.get(name), entry.get(f"{name}_interval")
    if value is None:
        return "-"
    return f"{value:.3f}" + (f" ({ends[0]:.2f} to {ends[1]:.2f})" if bounds and ends else "")
