"""What a person sees of an evaluation: every class, the confusion matrix."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.text import Text

from cnnkit.commands.screen import Content, new_table


def evaluation_tables(result: dict[str, Any], width: int) -> Iterator[Content]:
    """The metrics of each class, and the confusion matrix where the screen is wide enough for it."""
    from cnnkit.evaluation.metrics import CLASS_METRICS

    table = new_table("class", ">images", *(f">{metric.text}" for metric in CLASS_METRICS))
    for entry in result["classes"]:
        values = (f"{entry[metric.name]:.3f}" for metric in CLASS_METRICS)
        table.add_row(entry["name"], f"{entry['images']:,}", *values)
    yield from (table, "")
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
