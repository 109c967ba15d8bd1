"""`cnnkit evaluate`: what a trained network is worth."""

from __future__ import annotations

from typing import Annotated, Literal

from typer import Option

from cnnkit.commands.app import RunFolder, Settings, command
from cnnkit.commands.results import show_evaluation
from cnnkit.commands.screen import Screen


@command("cnnkit evaluate runs/first --split validation")
def evaluate(
    screen: Screen,
    run: RunFolder,
    split: Annotated[Literal["test", "validation", "train"], Option(help="Which of the run's splits.")] = "test",
    settings: Settings = [],  # noqa: B006
) -> None:
    """Tell what a trained network is worth: accuracy with its interval, and every class."""
    from cnnkit.evaluation.evaluate import evaluate as work

    with screen.watching() as progress:
        document = work(run, split, settings, progress)
    if screen.json_output:
        screen.document(document)
        return
    from cnnkit.evaluation import metrics

    show_evaluation(document, screen)
    screen.say(metrics.line(document))
