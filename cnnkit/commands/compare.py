"""`cnnkit compare`: runs beside each other, and whether they can be told apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Argument, Option

from cnnkit.commands.command import Force, command
from cnnkit.commands.screen import Content, Screen, new_table

if TYPE_CHECKING:
    from rich.table import Table

Grid = list[list[str]]
"""Rows of a table, its head the first."""


@command("cnnkit compare runs/first runs/second")
def compare(
    screen: Screen,
    runs: Annotated[list[Path], Argument(metavar="RUN RUN...", help="The folders of runs.", show_default=False)],
    split: Annotated[Literal["test", "validation", "train"], Option(help="On which of their splits.")] = "test",
    vary: Annotated[
        list[str], Option(metavar="SETTING", help="Table of runs that differ in it, e.g. train.epochs. Repeatable.")
    ] = [],  # noqa: B006
    csv: Annotated[Path | None, Option("--csv", help="Write the table as CSV.", show_default=False)] = None,
    markdown: Annotated[Path | None, Option(help="Write the table in Markdown.", show_default=False)] = None,
    force: Force = False,
) -> None:
    """Compare runs on the same images: settings, metrics, cost, and whether one of them is better."""
    from cnnkit.inspection.comparison import compare as work
    from cnnkit.inspection.sensitivity import sensitivity
    from cnnkit.runs import overwriting

    in_markdown = overwriting.Form("the table is Markdown", (".md", ".markdown", ".txt"))
    wanted: list[tuple[str, Path | None]]
    wanted = [(option, file) for option, file in (("--csv", csv), ("--markdown", markdown)) if file]
    for option, file in wanted or [("--csv or --markdown", None)]:
        overwriting.refuse(option, file, force, in_markdown if option == "--markdown" else overwriting.CSV, reads=runs)
    with screen.watching() as progress:
        document = sensitivity(runs, vary, split, progress) if vary else work(runs, split, progress)
    grid, sentences = (by_setting(document), [*_of_table(document)]) if vary else (side_by_side(document), [])
    sentences += [pair["told"] for pair in document.get("pairs", ())]
    sentences += () if vary else document["remarks"]
    written = _write(grid, sentences, csv, markdown)
    head = f"accuracy on {split} images" if vary else f"{document['images']:,} {split} images, the same for all"
    screen.result(document, head, "", _table(grid), "", *sentences, *written)


def by_setting(document: dict[str, Any]) -> Grid:
    """A row for each network, a column for each value of each setting that was varied; the base has a star."""
    settings = list(dict.fromkeys(column["setting"] for column in document["columns"]))
    short = {key: key.rpartition(".")[2] for key in settings}
    if len(set(short.values())) < len(short):
        short = dict(zip(settings, settings, strict=True))
    heads = (f"{short[c['setting']]} {c['value']}{' *' if c['base'] else ''}" for c in document["columns"])
    return [["model", *heads], *([row["model"], *map(_accuracy, row["cells"])] for row in document["rows"])]


def _accuracy(cell: dict[str, Any] | None) -> str:
    """The mean of a cell; of several runs with their range and number."""
    if cell is None:
        return "-"
    if cell["runs"] == 1:
        return f"{cell['mean']:.4f}"
    return f"{cell['mean']:.4f} ({cell['lowest']:.4f} to {cell['highest']:.4f}, {cell['runs']} runs)"


def _of_table(document: dict[str, Any]) -> Iterator[str]:
    """What there is to say of a table by settings."""
    yield f"* the base: {', '.join(f'{key} {value}' for key, value in document['base'].items())}"
    yield from document["remarks"]
    for run in document["left_out"]:
        yield f"left out: {run['run']} {run['why']}"


def side_by_side(document: dict[str, Any]) -> Grid:
    """A row for each setting that differs, each metric and each cost; a column for each run."""
    from cnnkit.evaluation.metrics import words

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


def _figure(metrics: dict[str, Any], name: str) -> str:
    """A figure, with its interval if it has one."""
    if metrics.get(name) is None:
        return "-"
    if ends := metrics.get(f"{name}_interval"):
        return f"{metrics[name]:.4f} ({ends[0]:.4f} to {ends[1]:.4f})"
    return f"{metrics[name]:.4f}"


def _table(grid: Grid) -> Table:
    head, *rows = grid
    table = new_table(*head)
    for row in rows:
        table.add_row(*row)
    return table


def _write(grid: Grid, sentences: Sequence[str], csv: Path | None, markdown: Path | None) -> list[Content]:
    """Writes the table where it is wanted; returns what to say of it."""
    from cnnkit.core import atomic
    from cnnkit.data.files import tables

    head, *rows = grid
    if csv:
        tables.write(csv, head, rows)
    if markdown:
        lines = ["| " + " | ".join(map(_cell, row)) + " |" for row in grid]
        lines.insert(1, "|" + " --- |" * len(head))
        atomic.write_text(markdown, "\n".join([*lines, "", *(f"- {_cell(sentence)}" for sentence in sentences), ""]))
    return [f"written: {file}" for file in (csv, markdown) if file]


def _cell(text: str) -> str:
    """A text as it can stand in a table of Markdown."""
    from cnnkit.core.text import visible

    return visible(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
