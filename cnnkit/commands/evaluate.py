"""`cnnkit evaluate`: what a trained network is worth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from typer import Exit, Option

from cnnkit.commands.command import RunFolder, Settings, command
from cnnkit.commands.results import evaluation_tables
from cnnkit.commands.screen import Screen
from cnnkit.core.errors import Incomplete, TrainingError, UsageError

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
    by: Annotated[
        str | None, Option(metavar="COLUMN", help="Figures for each value of a column of the table of the images.")
    ] = None,
    abstain: Annotated[
        float | None,
        Option(metavar="SHARE", help="From which probability on is what is answered right so often, e.g. 0.95?"),
    ] = None,
    positive: Annotated[
        str | None,
        Option(metavar="CLASS", help="Of two classes the one to be found.", show_default="yes, or the second"),
    ] = None,
    costs: Annotated[
        str | None, Option(metavar="FP:FN", help="The threshold for these costs of both mistakes, e.g. 1:5.")
    ] = None,
    sensitivity: Annotated[
        float | None, Option(metavar="SHARE", help="The threshold that finds this share of the positive images.")
    ] = None,
    calibrate: Annotated[
        bool, Option("--calibrate", help="First fit a temperature on the validation images, and keep it with the run.")
    ] = False,
    fail_under: Annotated[
        list[str],
        Option(metavar="FIGURE=VALUE", help="Exit 4 if it is below, e.g. accuracy.low=0.9, f1[rose]=0.8. Repeatable."),
    ] = [],  # noqa: B006
    fail_over: Annotated[
        list[str], Option(metavar="FIGURE=VALUE", help="Exit 4 if it is above, e.g. loss=0.5. Repeatable.")
    ] = [],  # noqa: B006
    baseline: Annotated[bool, Option(help="Compare it with simple methods on small pixels.")] = True,
    corruptions: Annotated[bool, Option("--corruptions", help="Accuracy under noise, blur, JPEG and others.")] = False,
    tta: Annotated[
        int | None, Option(metavar="N", help="What N augmented views of each image would add, and cost.")
    ] = None,
    settings: Settings = [],  # noqa: B006
) -> None:
    """Tell what a trained network is worth: accuracy with its interval, and every class."""
    from cnnkit.evaluation import calibrate as calibration
    from cnnkit.evaluation import metrics, verdict
    from cnnkit.evaluation.abstain import Abstain
    from cnnkit.evaluation.baseline import Baseline
    from cnnkit.evaluation.by_column import ByColumn
    from cnnkit.evaluation.corruptions import Corruptions
    from cnnkit.evaluation.evaluate import evaluate as work
    from cnnkit.evaluation.familiarity import Familiarity
    from cnnkit.evaluation.gate import Gate
    from cnnkit.evaluation.other_images import OtherImages
    from cnnkit.evaluation.results import recorded
    from cnnkit.evaluation.tta import TestTimeAugmentation
    from cnnkit.evaluation.two_classes import Costs, TwoClasses
    from cnnkit.runs.run import Run

    given = [option for option, value in (("--split", split), ("--images", images), ("--manifest", manifest)) if value]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} are different images: choose one of them")
    gates = Gate.all(fail_under, fail_over)
    other = images or manifest
    others = OtherImages(other, table=images is None) if other else None
    opened = Run.open(run, fitted_anew=calibrate)
    questions: list[Question] = [Baseline()] if baseline else []
    if corruptions:
        questions.append(Corruptions())
    if tta is not None:
        questions.append(TestTimeAugmentation(tta))
    two = TwoClasses(positive, Costs.parsed(costs) if costs else None, sensitivity)
    if two != TwoClasses() or len(opened.classes) == 2:
        questions.append(two)
    if abstain is not None:
        questions.append(Abstain(abstain))
    if by:
        questions.append(ByColumn(by))
    beside = "validation" if (split or "test") == "test" and not others else None
    # That it is damaged is told before the work; a calibration reads it, and writes it anew.
    validation = recorded(opened, beside) if beside and not calibrate else None
    incomplete: Incomplete | None = None
    with screen.watching() as progress:
        try:
            document = work(opened, split or "test", settings, progress, questions, others, calibrate, gates)
        except Incomplete as error:
            incomplete, document = error, error.document
        except KeyboardInterrupt as interrupt:
            if not isinstance(interrupt.__cause__, Incomplete):
                raise
            incomplete, document = interrupt.__cause__, interrupt.__cause__.document
    fit = document["calibrated"] if calibrate else None
    known = Familiarity.read(opened) if fit and not incomplete else None
    document |= {"gates": [gate.as_json(document) for gate in gates]} if gates else {}
    document |= {"familiarity": known.facts()} if known else {}
    if not (incomplete and screen.json_output):  # the error is the document then
        screen.result(document, *evaluation_tables(document, screen.console.width), metrics.line(document))

    def told() -> Iterator[str]:
        if fit:
            kept = "" if fit.get("kept", True) else "not kept: "
            yield from (f"{kept}{line}" for line in (*calibration.lines(fit), *calibration.consequences(fit)))
        if known:
            yield known.line()
        for question in questions:
            if question.name in document:
                yield from question.lines(document[question.name])
        before = recorded(opened.afresh(), beside) if beside and calibrate and not incomplete else validation
        yield from verdict.remarks(document, before)

    if not screen.json_output:
        screen.say(*told())
    for gate in gates:
        Screen(json_output=True).say(gate.line(document))
    if incomplete:
        raise incomplete
    if not all(gate.met(document) for gate in gates):
        raise Exit(TrainingError.exit_code)
