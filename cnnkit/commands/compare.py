"""`cnnkit compare`: runs beside each other, and whether they can be told apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from typer import Argument, Option

from cnnkit.commands.command import Force, command
from cnnkit.commands.screen import Screen, new_table
from cnnkit.core.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from cnnkit.commands.comparison_tables import Grid


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
    from cnnkit.commands import comparison_tables as tables
    from cnnkit.inspection.comparison import compare as work
    from cnnkit.inspection.sensitivity import sensitivity
    from cnnkit.runs import overwriting

    in_markdown = overwriting.Form("the table is Markdown", (".md", ".markdown", ".txt"))
    wanted: list[tuple[str, Path | None]]
    wanted = [(option, file) for option, file in (("--csv", csv), ("--markdown", markdown)) if file]
    for option, file in wanted or [("--csv or --markdown", None)]:
        overwriting.refuse(option, file, force, in_markdown if option == "--markdown" else overwriting.CSV, reads=runs)
    if csv and markdown and csv.resolve() == markdown.resolve():
        raise UsageError(f"--csv and --markdown name the same file, {csv}; give each one of its own")
    with screen.watching() as progress:
        document = sensitivity(runs, vary, split, progress) if vary else work(runs, split, progress)
    grid = tables.by_setting(document) if vary else tables.side_by_side(document)
    sentences = [*tables.sentences(document)]
    if csv:
        tables.write_csv(csv, document)
    if markdown:
        tables.write_markdown(markdown, grid, sentences)
    written = [f"written: {file}" for file in (csv, markdown) if file]
    head = f"accuracy on {split} images" if vary else f"{document['images']:,} {split} images, the same for all"
    screen.result(document, head, "", _table(grid), "", *sentences, *written)


def _table(grid: Grid) -> Table:
    head, *rows = grid
    table = new_table(*head)
    for row in rows:
        table.add_row(*row)
    return table
