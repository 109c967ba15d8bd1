"""`cnnkit evaluate`: what a trained network is worth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from typer import Exit, Option

from cnnkit.commands.command import RunFolder, Settings, command
from cnnkit.commands.results import evaluation_tables
from cnnkit.commands.screen import Screen
from cnnkit.core.errors import TrainingError, UsageError

if TYPE_CHECKING:
    from cnnkit.evaluation.exam import Question


@command("cnnkit evaluate runs/first --split validation")
def evaluate(
    screen: Screen,
    run: RunFolder,
    split: Annotated[
        Literal["test", "validation", "train"] | None, Option(help="Which of the run's splits.", show_default="test")
    ] = None,
    images: Annotated[
        Path | None, Option(metavar="DIR", help="Other images: a folder, or archive, of class folders.")
    ] = None,
    manifest: Annotated[Path | None, Option(metavar="CSV", help="Other images: a table of them.")] = None,
    fail_under: Annotated[
        list[str],
        Option(metavar="FIGURE=VALUE", help="Exit 4 if it is below, e.g. accuracy.low=0.9, f1[rose]=0.8. Repeatable."),
    ] = [],  # noqa: B006
    fail_over: Annotated[
        list[str], Option(metavar="FIGURE=VALUE", help="Exit 4 if it is above, e.g. loss=0.5. Repeatable.")
    ] = [],  # noqa: B006
    settings: Settings = [],  # noqa: B006
) -> None:
    """Tell what a trained network is worth: accuracy with its interval, and every class."""
    from cnnkit.evaluation import metrics, verdict
    from cnnkit.evaluation.evaluate import evaluate as work
    from cnnkit.evaluation.evaluate import recorded
    from cnnkit.evaluation.gate import Gate, figures
    from cnnkit.evaluation.other_images import OtherImages

    given = [option for option, value in (("--split", split), ("--images", images), ("--manifest", manifest)) if value]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} are different images: choose one of them")
    gates = [*map(Gate.parsed, fail_under), *(Gate.parsed(text, over=True) for text in fail_over)]
    other = images or manifest
    others = OtherImages(other, table=images is None) if other else None
    questions: list[Question] = []
    with screen.watching() as progress:
        document = work(run, split or "test", settings, progress, questions, others)
    for gate in gates:
        gate.refuse_unknown(list(figures(document)))
    told = [line for question in questions for line in question.lines(document[question.name])]
    told += verdict.remarks(document, recorded(run, "validation"))
    screen.result(document, *evaluation_tables(document, screen.console.width), metrics.line(document), *told)
    for gate in gates:
        Screen(json_output=True).say(gate.line(document))
    if not all(gate.met(document) for gate in gates):
        raise Exit(TrainingError.exit_code)
