"""`cnnkit evaluate`: what a trained network is worth."""

from __future__ import annotations

from typing import Annotated, Literal

from typer import Option

from cnnkit.commands.command import RunFolder, Settings, command
from cnnkit.commands.results import evaluation_tables
from cnnkit.commands.screen import Screen


@command("cnnkit evaluate runs/first --split validation")
def evaluate(
    screen: Screen,
    run: RunFolder,
    split: Annotated[Literal["test", "validation", "train"], Option(help="Which of the run's splits.")] = "test",
    settings: Settings = [],  # noqa: B006
) -> None:
    """Tell what a trained network is worth: accuracy with its interval, and every class."""
    from cnnkit.evaluation import metrics, verdict
    from cnnkit.evaluation.evaluate import evaluate as work
    from cnnkit.evaluation.evaluate import recorded

    with screen.watching() as progress:
        document = work(run, split, settings, progress)
    told = verdict.remarks(document, recorded(run, "validation"))
    screen.result(document, *evaluation_tables(document, screen.console.width), metrics.line(document), *told)
