"""Questions: all that may be asked beyond the metrics, by the names under which a result has what was found."""

from __future__ import annotations

from cnnkit.evaluation.abstain import Abstain
from cnnkit.evaluation.baseline import Baseline
from cnnkit.evaluation.by_column import ByColumn
from cnnkit.evaluation.corruptions import Corruptions
from cnnkit.evaluation.exam import Question
from cnnkit.evaluation.tta import TestTimeAugmentation
from cnnkit.evaluation.two_classes import TwoClasses

_ALL: tuple[type[Question], ...] = (Abstain, Baseline, ByColumn, Corruptions, TestTimeAugmentation, TwoClasses)

QUESTIONS: dict[str, type[Question]] = {question.name: question for question in _ALL}
"""From a name to its question."""
