"""Abstain: from which probability on answers are right as often as asked, and how much is then answered.

The threshold is chosen on validation by "selection with guaranteed risk" (Geifman and El-Yaniv 2017, arXiv:1705.08500,
algorithm 1): a search in halves, each step judged by an exact binomial bound (Clopper and Pearson 1934) whose doubt is
divided among all steps, so that 95 % holds for the threshold that was chosen, not for one alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from cnnkit.core.errors import UsageError
from cnnkit.core.lazy import np
from cnnkit.core.text import counted
from cnnkit.evaluation.answers import Answers
from cnnkit.evaluation.exam import Exam, Question
from cnnkit.evaluation.metrics import interval

CONFIDENCE = 0.95
"""How sure it is that what is answered is right as often as asked."""


@dataclass(frozen=True)
class Abstain(Question):
    """From which probability on is what is answered right so often?

    Attributes:
        accuracy: How often, above 0 and below 1.
    """

    name: ClassVar[str] = "abstain"
    accuracy: float

    def __post_init__(self) -> None:
        if not 0 < self.accuracy < 1:
            raise UsageError(f"--abstain {self.accuracy:g}: should be a share above 0 and below 1, such as 0.95")

    def answered(self, exam: Exam) -> dict[str, Any]:
        """The threshold, None where none is surely enough; what it comes to on validation and where it is asked."""
        chosen_on = exam.answers_of("validation")
        images = len(chosen_on.labels)
        threshold = threshold_for(chosen_on, self.accuracy)
        found: dict[str, Any] = {"wanted": self.accuracy, "confidence": CONFIDENCE, "threshold": threshold}
        found |= {"images_needed": least_images(self.accuracy, steps(images)), "validation_images": images}
        found["validation"] = told(chosen_on, threshold)
        return found | told(exam.answers, threshold) | {"chosen_here": exam.split == "validation"}

    def lines(self, found: Mapping[str, Any]) -> Iterator[str]:
        """The threshold, and what it comes to."""
        wanted = f"right {found['wanted']:.4g} of the time"
        if found["threshold"] is None:
            yield (
                f"abstain: no threshold makes sure that answers are {wanted}, judged by "
                f"{counted(found['validation_images'], 'validation image')}; at the least {found['images_needed']:,} "
                "answers without a mistake would be needed"
            )
            return
        sure = f"{wanted}, with {found['confidence']:.0%} confidence by validation"
        if found["threshold"]:
            yield f"abstain: below probability {found['threshold']:.4f} say nothing; what is answered is then {sure}"
        else:
            yield f"abstain: all may be answered; that is {sure}"
        if found["accuracy"] is None:
            yield "  here nothing would be answered"
            return
        low, high = found["accuracy_interval"]
        here = "  of these very images" if found["chosen_here"] else "  here"
        yield (
            f"{here} {found['answered']:.1%} would be answered ({found['images_answered']:,}), with accuracy "
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
        "accuracy_interval": None if accuracy is None else list(interval(accuracy, count)),
    }


def threshold_for(answers: Answers, accuracy: float) -> float | None:
    """The threshold from which on answers are surely right so often; None where none is.

    Args:
        answers: Those of validation.
        accuracy: How often, in 0..1.
    """
    best = answers.probabilities.max(axis=1)
    order = np.argsort(-best, kind="stable")
    best, right = best[order], np.cumsum((answers.labels == answers.predicted)[order])
    doubt = (1 - CONFIDENCE) / steps(len(best))

    def surely(count: int) -> float | None:
        """The threshold of the so many likeliest answers, with all that are as likely; None if it is not enough."""
        threshold = float(best[count - 1])
        count = int(np.searchsorted(-best, -threshold, side="right"))
        return threshold if least_accuracy(int(right[count - 1]), count, doubt) >= accuracy else None

    if surely(len(best)) is not None:
        return 0.0  # all may be answered
    found, low, high = None, 1, len(best)
    while low < high:
        middle = (low + high) // 2
        if (threshold := surely(middle)) is None:
            high = middle
        else:
            found, low = threshold, middle + 1
    return found


def steps(images: int) -> int:
    """How many thresholds may be tried at the most: all of the images, and what halves them."""
    return 1 + math.ceil(math.log2(images)) if images > 1 else 1


def least_accuracy(right: int, count: int, doubt: float) -> float:
    """The exact one-sided lower bound of a proportion (Clopper and Pearson 1934).

    Args:
        right: How many were right.
        count: Of how many.
        doubt: How often such a bound may lie above the true proportion.
    """
    from scipy.stats import beta

    return float(beta.ppf(doubt, right, count - right + 1)) if right else 0.0


def least_images(accuracy: float, tried: int) -> int:
    """So many answers without a mistake are enough: the bound is then the doubt's root of that degree."""
    return math.ceil(math.log((1 - CONFIDENCE) / tried) / math.log(accuracy))
