"""Abstain: from which probability on answers are right as often as asked, and how much is then answered.

The threshold is chosen on validation by testing thresholds in an order that is fixed beforehand, from the surest
answers to all of them ("Learn then test", Angelopoulos, Bates, Candès, Jordan and Lei 2021, arXiv:2110.01052, fixed
sequence testing): as long as each is passed the next may be tried with all of the doubt, and the first that fails ends
it. Each is judged by an exact binomial bound (Clopper and Pearson 1934). So that one mistake among the surest does not
end everything, there are several starts, each with its part of the doubt, and a start that is passed hands what it had
on to the next (the fallback procedure: Wiens 2003, "A fixed sequence Bonferroni procedure for testing multiple
endpoints", Pharmaceutical Statistics 2, 211-215). The 95 % hold for the threshold that is chosen, and not only for one
alone, if surer answers are right at least as often as less sure ones; at the starts they hold without that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from cnnkit.core.errors import UsageError
from cnnkit.core.lazy import np
from cnnkit.core.text import counted, percent
from cnnkit.data.index import Index
from cnnkit.evaluation.answers import Answers
from cnnkit.evaluation.exam import Exam, Question
from cnnkit.evaluation.gate import with_ends
from cnnkit.evaluation.intervals import CONFIDENCE, wilson

MOST = 0.99999
"""More often can't be asked for: 300,000 answers without a mistake make sure of this."""


@dataclass(frozen=True)
class Abstain(Question):
    """From which probability on is what is answered right so often?

    Attributes:
        accuracy: How often, above 0 and up to `MOST`.
    """

    name: ClassVar[str] = "abstain"
    accuracy: float

    def __post_init__(self) -> None:
        if not 0 < self.accuracy <= MOST:
            raise UsageError(f"--abstain {self.accuracy}: should be a share above 0 and up to {MOST}, such as 0.95")

    def answered(self, exam: Exam) -> dict[str, Any]:
        """The threshold, None where none is surely enough; what it comes to on validation and where it is asked."""
        return self._found(exam.answers, exam.answers_of("validation"), exam.split == "validation")

    def figures(self, classes: Sequence[str], index: Index | None = None) -> list[str] | None:
        """Those of `answered`."""
        own = ("images_answered", "answered", *with_ends("accuracy"))
        asked = ("wanted", "confidence", "threshold", "images_needed", "validation_images")
        return [*asked, *(f"validation.{name}" for name in own), *own]

    @classmethod
    def renewed(
        cls, found: Mapping[str, Any], answers: Answers, validation: Answers, chosen_here: bool
    ) -> dict[str, Any] | None:
        """Another threshold, and what it comes to."""
        return cls(found["wanted"])._found(answers, validation, chosen_here)

    def _found(self, answers: Answers, chosen_on: Answers, chosen_here: bool) -> dict[str, Any]:
        images = len(chosen_on.labels)
        threshold = threshold_for(chosen_on, self.accuracy)
        found: dict[str, Any] = {"wanted": self.accuracy, "confidence": CONFIDENCE, "threshold": threshold}
        needed = least_images(self.accuracy, max(len(starts(images, self.accuracy)), 1))
        found |= {"images_needed": needed, "validation_images": images}
        found["validation"] = told(chosen_on, threshold)
        return found | told(answers, threshold) | {"chosen_here": chosen_here}

    def lines(self, found: Mapping[str, Any]) -> Iterator[str]:
        """The threshold, and what it comes to."""
        wanted = f"right at least {100 * found['wanted']:.7g} % of the time"
        if found["threshold"] is None:
            yield (
                f"abstain: no threshold is known above which answers are {wanted}, judged by "
                f"{counted(found['validation_images'], 'validation image')}; that takes at least "
                f"{found['images_needed']:,} answers without a mistake; train with more validation images "
                "(data.split.validation), or ask for a smaller share"
            )
            return
        sure = f"{wanted}, with {percent(found['confidence'])} confidence by validation"
        if found["threshold"]:
            yield f"abstain: below probability {found['threshold']:.4f} say nothing; what is answered is then {sure}"
        else:
            yield f"abstain: all may be answered: together the answers are {sure}"
        if found["accuracy"] is None:
            yield "  here nothing would be answered"
            return
        low, high = found["accuracy_interval"]
        here = "  of these very images" if found["chosen_here"] else "  here"
        yield (
            f"{here} {percent(found['answered'], 1)} would be answered ({found['images_answered']:,}), with accuracy "
            f"{found['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f})"
        )


def told(answers: Answers, threshold: float | None) -> dict[str, Any]:
    """How much is answered from a threshold on, and how right that is; nothing without one."""
    right, best = answers.labels == answers.predicted, answers.probabilities.max(axis=1)
    chosen = best >= threshold if threshold is not None else np.zeros(len(right), bool)
    count = int(chosen.sum())
    accuracy = int(right[chosen].sum()) / count if count else None
    return {
        "images_answered": count,
        "answered": count / len(right),
        "accuracy": accuracy,
        "accuracy_interval": None if accuracy is None else wilson(accuracy, count),
    }


def threshold_for(answers: Answers, accuracy: float) -> float | None:
    """The threshold from which on answers are surely right so often; None where none is, 0 where all may be answered.

    Args:
        answers: Those of validation.
        accuracy: How often, above 0 and below 1.
    """
    from scipy.stats import binom

    best = answers.probabilities.max(axis=1)
    order = np.argsort(-best, kind="stable")
    best, right = best[order], np.cumsum((answers.labels == answers.predicted)[order])
    # What is equally probable is answered together: a threshold is the last of these.
    last = np.flatnonzero(np.append(np.diff(best) != 0, True))
    # How often so many of them would be right at the least, were their accuracy only that which is asked for.
    chances = binom.sf(right[last] - 1, last + 1, accuracy)
    begins, own = starts(len(best), accuracy), np.zeros(len(last))
    np.add.at(own, np.searchsorted(last, np.asarray(begins, int) - 1), (1 - CONFIDENCE) / max(len(begins), 1))
    found, doubt = None, 0.0
    for place in np.arange(len(last))[own.cumsum() > 0].tolist():
        doubt += own[place]
        if doubt and chances[place] <= doubt:
            found = place
        else:
            doubt = 0.0
    if found is None:
        return None
    return 0.0 if found == len(last) - 1 else float(best[last[found]])


def starts(images: int, accuracy: float) -> list[int]:
    """How many of the surest answers are tried without others before: the fewest that can be enough, twice as many ...

    Args:
        images: How many there are.
        accuracy: How often answers should be right, above 0 and below 1.
    """
    count = 1
    while least_images(accuracy, count + 1) * 2**count <= images:
        count += 1
    first = least_images(accuracy, count)
    return [first * 2**k for k in range(count)] if first <= images else []


def least_images(accuracy: float, begins: int) -> int:
    """So many answers without a mistake are enough for one of so many starts: accuracy^n is then at most its doubt."""
    return math.ceil(math.log((1 - CONFIDENCE) / begins) / math.log(accuracy))
