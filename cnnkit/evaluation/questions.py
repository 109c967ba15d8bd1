"""Questions: all that may be asked beyond the metrics, by the names under which a result has what was found."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cnnkit.evaluation import by_column, calibrate
from cnnkit.evaluation.abstain import Abstain
from cnnkit.evaluation.baseline import Baseline
from cnnkit.evaluation.by_column import ByColumn
from cnnkit.evaluation.corruptions import Corruptions
from cnnkit.evaluation.exam import Question
from cnnkit.evaluation.gate import of_entry
from cnnkit.evaluation.other_images import OtherImages
from cnnkit.evaluation.tta import TestTimeAugmentation
from cnnkit.evaluation.two_classes import Costs, TwoClasses

_ALL: tuple[type[Question], ...] = (Abstain, Baseline, ByColumn, Corruptions, TestTimeAugmentation, TwoClasses)

QUESTIONS: dict[str, type[Question]] = {question.name: question for question in _ALL}
"""From a name to its question."""

_EXAMPLES: tuple[tuple[Question, str], ...] = (
    (Abstain(0.95), "add --abstain 0.95"),
    (Baseline(), "leave --no-baseline out"),
    (Corruptions(), "add --corruptions"),
    (TestTimeAugmentation(8), "add --tta 8"),
    (TwoClasses(costs=Costs(1, 5)), "add --costs 1:5"),
    (TwoClasses(sensitivity=0.95), "add --sensitivity 0.95"),
)
"""Questions whose figures the images have no say in, each with what `cnnkit evaluate` is told to ask it."""


def asked_by(classes: Sequence[str], asked: Collection[str]) -> dict[str, str]:
    """The figures beyond the metrics by the names that a gate has for them, each with what asks for it.

    Args:
        classes: Names of a run's classes.
        asked: The names of the questions that are asked.
    """
    found: dict[str, str] = {}
    for question, how in _EXAMPLES:
        only = isinstance(question, TwoClasses) and len(classes) != 2
        for name in question.figures(classes) or ():
            before = found.get(f"{question.name}.{name}")
            found[f"{question.name}.{name}"] = (
                "only a run of two classes has it" if only else f"{before}, or {how}" if before else how
            )
    if ByColumn.name not in asked:
        values = (f"{ByColumn.name}.{of_entry(name, 'VALUE')}" for name in by_column.FIGURES)
        found |= dict.fromkeys(values, "add --by COLUMN")
    found |= dict.fromkeys((f"calibrated.{name}" for name in calibrate.FIGURES), "add --calibrate")
    return found | dict.fromkeys((f"source.{name}" for name in OtherImages.figures()), "add --images or --manifest")
