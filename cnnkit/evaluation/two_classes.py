"""Two classes: sensitivity and specificity, and from which probability on an image is taken for the positive one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

from cnnkit.core.errors import UsageError
from cnnkit.core.lazy import np
from cnnkit.core.text import counted, suggestion
from cnnkit.data.index import Index
from cnnkit.evaluation.answers import Answers
from cnnkit.evaluation.exam import Exam, Question
from cnnkit.evaluation.gate import with_ends
from cnnkit.evaluation.intervals import interval, wilson
from cnnkit.runs.run import Run

HALF = 0.5
"""The threshold of the likeliest class."""

_YES_OR_NO = {("0", "1"), ("no", "yes"), ("false", "true"), ("negative", "positive")}
"""Names of two classes, in small letters, of which the second is the positive one."""


def positive_of(classes: Sequence[str]) -> str | None:
    """Which of two classes is the positive one by their names; None where these do not tell."""
    first, second = sorted(classes, key=str.lower)
    return second if (first.lower(), second.lower()) in _YES_OR_NO else None


@dataclass(frozen=True)
class Costs:
    """What the two mistakes cost, in whatever unit; each above 0.

    Attributes:
        false_positive: Of taking a negative image for a positive one.
        false_negative: Of overlooking a positive one.
    """

    false_positive: float
    false_negative: float

    @classmethod
    def parsed(cls, text: str) -> Self:
        """From `1:5`, as an option has it.

        Raises:
            UsageError: It has no such form.
        """
        try:
            positive, negative = map(float, text.split(":"))
        except ValueError:
            positive = negative = math.nan
        if not (0 < positive < math.inf and 0 < negative < math.inf):
            message = "should be the cost of a false positive and of a false negative, above 0, such as 1:5"
            raise UsageError(f"--costs {text}: {message}")
        return cls(positive, negative)

    @property
    def threshold(self) -> float:
        """The best one where probabilities are right (Elkan 2001, "The foundations of cost-sensitive learning")."""
        return self.false_positive / (self.false_positive + self.false_negative)


@dataclass(frozen=True)
class TwoClasses(Question):
    """How many positive images are found, and how many negative ones left alone?

    Attributes:
        positive: The positive class; if left out that which is meant by its name (`yes`, `positive`, `true`, `1`), or
            the second.
        costs: What mistakes cost: the threshold is chosen that costs least on validation.
        sensitivity: The share of the positive images that should be found: the highest threshold is chosen that finds
            as many on validation. At most one of the two.
    """

    name: ClassVar[str] = "two_classes"
    positive: str | None = None
    costs: Costs | None = None
    sensitivity: float | None = None

    def __post_init__(self) -> None:
        if self.costs and self.sensitivity is not None:
            raise UsageError("--costs and --sensitivity each choose a threshold: leave one of them out")
        if self.sensitivity is not None and not 0 < self.sensitivity <= 1:
            raise UsageError(f"--sensitivity {self.sensitivity}: should be a share above 0 and up to 1, such as 0.95")

    @property
    def chooses(self) -> bool:
        """Whether a threshold is to be chosen."""
        return self.costs is not None or self.sensitivity is not None

    def refuse(self, run: Run) -> None:
        """Refuses a run of other classes; and one without a validation that a threshold could be chosen on."""
        self.refuse_others(run.classes)
        there = sorted({row.label for row in run.split("validation")}) if self.chooses else run.classes
        if len(there) < 2:
            option, what = "--costs" if self.costs else "--sensitivity", "has no images"
            if there:
                what = f"has images of `{there[0]}` only"
            raise UsageError(
                f"{option}: a threshold is chosen on the validation images, and {run.folder} {what} there; leave the "
                "option out, or train with images of both classes in validation"
            )

    def refuse_others(self, classes: Sequence[str]) -> None:
        """Refuses classes that this is no question for.

        Raises:
            UsageError: They are not two, or the positive one is none of them.
        """
        given = {"--positive": self.positive, "--costs": self.costs, "--sensitivity": self.sensitivity}
        asked = next((option for option, value in given.items() if value is not None), "sensitivity and specificity")
        if len(classes) != 2:
            raise UsageError(
                f"{asked}: is for two classes, and the run has {counted(len(classes), 'class', 'classes')}"
            )
        if self.positive is not None and self.positive not in classes:
            raise UsageError(
                f"--positive {self.positive}: the run has no such class{suggestion(self.positive, classes)}"
            )

    def answered(self, exam: Exam) -> dict[str, Any]:
        """Sensitivity and specificity at a half, and at the threshold that is chosen on validation."""
        validation = exam.answers_of("validation") if self.chooses else None
        return self._found(exam.answers, validation, exam.split == "validation")

    def figures(self, classes: Sequence[str], index: Index | None = None) -> list[str] | None:
        """Those of `answered`."""
        own = ["threshold", *with_ends("sensitivity", "specificity"), "false_positives", "false_negatives"]
        own += ["cost"] if self.costs else []
        if not self.chooses:
            return own
        why = ["costs.false_positive", "costs.false_negative"] if self.costs else ["sensitivity"]
        chosen = [*(f"for.{name}" for name in why), *(f"validation.{name}" for name in own), "positive_images", *own]
        return [*own, *(f"chosen.{name}" for name in chosen)]

    @classmethod
    def renewed(
        cls, found: Mapping[str, Any], answers: Answers, validation: Answers, chosen_here: bool
    ) -> dict[str, Any] | None:
        """The same at a half, as no temperature moves that, and at another threshold, if one was chosen."""
        why = found["chosen"]["for"] if "chosen" in found else {}
        costs = Costs(**why["costs"]) if "costs" in why else None
        return cls(found["positive"], costs, why.get("sensitivity"))._found(answers, validation, chosen_here)

    def _found(self, answers: Answers, validation: Answers | None, chosen_here: bool) -> dict[str, Any]:
        classes = list(answers.classes)
        positive = self.positive or positive_of(classes) or classes[1]
        place = classes.index(positive)
        found: dict[str, Any] = {"positive": positive} | at(answers, place, HALF, self.costs)
        if not self.chooses:
            return found
        assert validation is not None
        truth, probability = validation.labels == place, validation.probabilities[:, place]
        why: dict[str, Any]
        if self.costs:
            threshold, why = cheapest(truth, probability, self.costs), {"costs": asdict(self.costs)}
        else:
            assert self.sensitivity is not None
            threshold, why = finding(truth, probability, self.sensitivity), {"sensitivity": self.sensitivity}
        chosen: dict[str, Any] = {"for": why, "validation": at(validation, place, threshold, self.costs)}
        chosen |= {"positive_images": int(truth.sum())} | at(answers, place, threshold, self.costs)
        return found | {"chosen": chosen | {"chosen_here": chosen_here}}

    def lines(self, found: Mapping[str, Any]) -> Iterator[str]:
        """A line for a half, and one for what was chosen."""
        yield f"`{found['positive']}` is positive: {_line(found)}"
        if chosen := found.get("chosen"):
            costs = chosen["for"].get("costs")
            why = (
                f"find {chosen['for']['sensitivity']:.15g} of them{_reached(chosen)}"
                if not costs
                else (
                    f"cost least, a false positive {costs['false_positive']:g} and a false negative "
                    f"{costs['false_negative']:g}"
                )
            )
            where = "these very images" if chosen["chosen_here"] else "validation"
            yield f"  from probability {chosen['threshold']:.4f} on, chosen on {where} to {why}: {_line(chosen)}"
            yield from _too_few(chosen)
            shares = chosen["validation"]["sensitivity"], chosen["validation"]["specificity"]
            if taken := {(1, 0): "every", (0, 1): "no"}.get(shares):
                yield (
                    f"  careful: there {taken} image of {where} is taken for `{found['positive']}`, so it tells "
                    "nothing apart"
                )


def _reached(chosen: Mapping[str, Any]) -> str:
    """What share of the validation images is found, with its interval; of these very images it stands beside it."""
    if chosen["chosen_here"] or (images := chosen.get("positive_images")) is None:
        return ""
    (low, high), share = chosen["validation"]["sensitivity_interval"], chosen["validation"]["sensitivity"]
    return f" (there {share:.4f} of {images:,}, {low:.4f} to {high:.4f})"


def _too_few(chosen: Mapping[str, Any]) -> Iterator[str]:
    """That there are so few positive images that not even all of them found would tell the share that is wanted."""
    wanted, images = chosen["for"].get("sensitivity"), chosen.get("positive_images")
    if wanted is None or images is None or (low := interval(1.0, images)[0]) >= wanted:
        return
    yield (
        f"  careful: chosen on {counted(images, 'positive image')}, which can't tell {wanted:.15g}: even if all of "
        f"them are found, it may be {low:.4f} of others; more validation images (data.split.validation) would tell"
        + " more"
        * (wanted == 1)
    )


def _line(part: Mapping[str, Any]) -> str:
    told = []
    for name in ("sensitivity", "specificity"):
        if part[name] is None:
            told.append(f"no {name}, as no image is {'positive' if name == 'sensitivity' else 'negative'}")
        else:
            low, high = part[f"{name}_interval"]
            told.append(f"{name} {part[name]:.4f} ({low:.4f} to {high:.4f})")
    told.append(f"{part['false_positives']:,} false positive, {part['false_negatives']:,} false negative")
    return ", ".join([*told, *([f"cost {part['cost']:.4g} an image"] if "cost" in part else [])])


def at(answers: Answers, positive: int, threshold: float, costs: Costs | None = None) -> dict[str, Any]:
    """What a threshold comes to.

    Args:
        answers: Of two classes.
        positive: The place of the positive class.
        threshold: An image is taken for positive from this probability on.
        costs: Of the mistakes; then with the mean cost of an image.
    """
    truth, taken = answers.labels == positive, answers.probabilities[:, positive] >= threshold
    found: dict[str, Any] = {"threshold": threshold}
    for name, of, right in (("sensitivity", truth, taken), ("specificity", ~truth, ~taken)):
        images = int(of.sum())
        share = int((of & right).sum()) / images if images else None
        found |= {name: share, f"{name}_interval": None if share is None else wilson(share, images)}
    found |= {"false_positives": int((~truth & taken).sum()), "false_negatives": int((truth & ~taken).sum())}
    if costs:
        total = found["false_positives"] * costs.false_positive + found["false_negatives"] * costs.false_negative
        found["cost"] = total / len(truth)
    return found


def cheapest(truth: Any, probability: Any, costs: Costs) -> float:
    """The threshold at which mistakes cost least; of several the one next to that of right probabilities.

    Args:
        truth: bool (images,), whether each is positive.
        probability: float64 (images,), of being so.
        costs: Of the mistakes.
    """
    borders = np.unique(probability)
    # Between two probabilities that are next to each other every threshold comes to the same.
    between = np.concatenate([[0.0], (borders[1:] + borders[:-1]) / 2, [np.nextafter(borders[-1], 2.0)]])
    overlooked = np.searchsorted(np.sort(probability[truth]), between)
    alarms = int((~truth).sum()) - np.searchsorted(np.sort(probability[~truth]), between)
    cost = alarms * costs.false_positive + overlooked * costs.false_negative
    edges = np.concatenate([[0.0], borders, [np.nextafter(borders[-1], 2.0)]])
    best, distance = 0.5, math.inf
    for place in np.flatnonzero(cost == cost.min()).tolist():
        low, high = float(edges[place]), float(edges[place + 1])
        # A probability at the lower end is taken for negative, one at the upper end for positive.
        inside = min(max(costs.threshold, float(np.nextafter(low, 2.0)) if place else 0.0), high)
        if abs(inside - costs.threshold) < distance:
            best, distance = inside, abs(inside - costs.threshold)
    return best


def finding(truth: Any, probability: Any, sensitivity: float) -> float:
    """The highest threshold that finds such a share of the positive images.

    Args:
        truth: bool (images,), whether each is positive.
        probability: float64 (images,), of being so.
        sensitivity: The share, above 0.
    """
    of_positive = np.sort(probability[truth])[::-1]
    needed = max(1, math.ceil(sensitivity * len(of_positive) - 1e-9))
    return float(of_positive[needed - 1])
