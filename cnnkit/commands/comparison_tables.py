"""The tables of `compare`: for eyes, for a page in Markdown, and as plain numbers in CSV."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnkit.core import atomic
from cnnkit.core.text import visible
from cnnkit.data.files import tables
from cnnkit.evaluation.metrics import words

Grid = list[list[str]]
"""Rows of a table, its head the first."""

_SPECIAL = re.compile(r"[\\`*\[|~]|(?<![^\W_])_|_(?![^\W_])")
"""What Markdown takes for more than a sign, an underscore within a word not among it."""

_BEGINNING = re.compile(r"^(\d*)([-+#>.)])")
"""The same at the beginning of a line: of a list, a heading or a quotation."""


def by_setting(document: Mapping[str, Any]) -> Grid:
    """A row for each network, a column for each value of each setting that was varied; the base has a star."""
    settings = list(dict.fromkeys(column["setting"] for column in document["columns"]))
    if settings == [None]:  # networks alone
        return [["model", document["metric"]], *([row["model"], _accuracy(*row["cells"])] for row in document["rows"])]
    short = {key: key.rpartition(".")[2] for key in settings}
    if len(set(short.values())) < len(short):
        short = dict(zip(settings, settings, strict=True))
    heads = (f"{short[c['setting']]} {c['value']}{' *' if c['base'] else ''}" for c in document["columns"])
    return [["model", *heads], *([row["model"], *map(_accuracy, row["cells"])] for row in document["rows"])]


def _accuracy(cell: Mapping[str, Any] | None) -> str:
    """The mean of a cell; of several runs with their range and number."""
    if cell is None:
        return "-"
    if cell["runs"] == 1:
        return f"{cell['mean']:.4f}"
    return f"{cell['mean']:.4f} ({cell['lowest']:.4f} to {cell['highest']:.4f}, {cell['runs']} runs)"


def sentences(document: Mapping[str, Any]) -> Iterator[str]:
    """What there is to say below a table."""
    if base := document.get("base"):
        yield f"* the base: {', '.join(f'{key} {value}' for key, value in base.items())}"
    for pair in document.get("pairs", ()):
        yield pair["told"]
    yield from document["remarks"]
    for run in document.get("left_out", ()):
        yield f"left out: {run['run']} {run['why']}"


def side_by_side(document: Mapping[str, Any]) -> Grid:
    """A row for each setting that differs, each metric and each cost; a column for each run."""
    runs = document["runs"]
    rows = [["", *(run["name"] for run in runs)]]
    rows += [
        [entry["key"], *("-" if value is None else value for value in entry["values"])]
        for entry in document["settings"]
    ]
    for name in runs[0]["metrics"]:
        if not name.endswith("_interval"):
            rows.append([words(name), *(_figure(run["metrics"], name) for run in runs)])
    rows.append(["parameters", *(f"{run['parameters']:,}" for run in runs)])
    rows.append(["multiply-adds", *(f"{run['macs']:,}" for run in runs)])
    for said, name, form in (("epochs", "epochs", ",d"), ("seconds of training", "training_seconds", ".1f")):
        rows.append([said, *("-" if run[name] is None else format(run[name], form) for run in runs)])
    return rows


def _figure(metrics: Mapping[str, Any], name: str) -> str:
    """A figure, with its interval if it has one."""
    if metrics.get(name) is None:
        return "-"
    if ends := metrics.get(f"{name}_interval"):
        return f"{metrics[name]:.4f} ({ends[0]:.4f} to {ends[1]:.4f})"
    return f"{metrics[name]:.4f}"


def write_csv(file: Path, document: Mapping[str, Any]) -> None:
    """Writes a table of plain numbers: a row for each run, or for each cell of a table by settings."""
    tables.write(file, *(_cells(document) if "columns" in document else _runs(document)))


def _runs(document: Mapping[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Header and a row for each run: settings that differ, figures, the ends of their intervals, and costs."""
    runs = document["runs"]
    figures: dict[str, tuple[str, int | None]] = {}
    for name in dict.fromkeys(name for run in runs for name, value in run["metrics"].items() if value is not None):
        value = name.removesuffix("_interval")
        figures |= {name: (name, None)} if value == name else {f"{value}.low": (name, 0), f"{value}.high": (name, 1)}
    costs = ("parameters", "macs", "epochs", "training_seconds")
    header = ["run", *(entry["key"] for entry in document["settings"]), *figures, *costs]
    rows = []
    for number, run in enumerate(runs):
        row = [run["name"], *(entry["values"][number] for entry in document["settings"])]
        for name, place in figures.values():
            found = run["metrics"].get(name)
            row.append(found if found is None or place is None else found[place])
        rows.append([*row, *(run[name] for name in costs)])
    return header, rows


def _cells(document: Mapping[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Header and a row for each cell: its network, setting and value, and the mean and range of its runs."""
    header = ["model", "setting", "value", "base", document["metric"], "lowest", "highest", "runs"]
    rows = []
    for row in document["rows"]:
        for column, cell in zip(document["columns"], row["cells"], strict=True):
            where = [row["model"], column["setting"], column["value"], "yes" if column["base"] else "no"]
            found = cell or {"runs": 0}
            rows.append([*where, *(found.get(name) for name in ("mean", "lowest", "highest", "runs"))])
    return header, rows


def write_markdown(file: Path, grid: Grid, told: Sequence[str]) -> None:
    """Writes a table and what there is to say below it as a page in Markdown."""
    head, *_ = grid
    lines = ["| " + " | ".join(map(_inline, row)) + " |" for row in grid]
    lines.insert(1, "|" + " --- |" * len(head))
    atomic.write_text(file, "\n".join([*lines, "", *(f"- {_line(sentence)}" for sentence in told), ""]))


def _inline(text: str) -> str:
    """A text that Markdown shows as it is."""
    return _SPECIAL.sub(r"\\\g<0>", visible(text)).replace("&", "&amp;").replace("<", "&lt;")


def _line(text: str) -> str:
    """The same of a whole line."""
    return _BEGINNING.sub(r"\1\\\2", _inline(text))
