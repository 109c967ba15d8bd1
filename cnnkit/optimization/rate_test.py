"""A learning-rate range test as numbers: the rates, the curve of the loss over them, and what follows from it.

The rate is raised from update to update, evenly in its logarithm, and the loss is followed: at first it stays, then it
falls, and where the steps are too large it rises (Smith 2015, arXiv:1506.01186). The curve tells where to look; short
runs at single rates tell which of them is best.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from cnnkit.core.text import counted, enumerated, percent

SMOOTHING = 0.9
"""Share of the mean so far in the next one: a mean over about ten updates."""

SETTLED = 10
"""Updates until the smoothed loss is such a mean. What comes before is that of fewer: where batches differ by more than
the loss falls, a lucky first one would be the least of the whole curve."""

EXPLODED = 4.0
"""A smoothed loss that is so many times the smallest one has exploded."""

BELOW = 10.0
"""How far below the rate of the least loss the short runs begin."""

APART = 3.0
"""How many times the one before each rate is that is tried by a short run."""


HARDLY = 0.02
"""A loss of validation that is more by less than this share may be so by chance. (With 0.1, SGD on Fashion-MNIST got a
third of its best rate, and was 1.6 points behind after 2 epochs.)"""

FEW_JUDGES = 30
"""Fewer validation images are not believed to tell rates apart: one that is answered wrongly for sure decides."""

LEARNT = 0.02
"""Share of its loss that a network has lost at the least if it has learnt anything in a short run."""


@dataclass(frozen=True)
class Point:
    """An update of the test.

    Attributes:
        rate: Its learning rate.
        loss: That of its batch, before the update.
        smoothed: The mean of the losses so far, of which those long ago count less.
    """

    rate: float
    loss: float
    smoothed: float


@dataclass
class Curve:
    """The loss over the rates, while it is followed.

    Attributes:
        points: Every update whose loss was finite.
        ended: Why it ended before its last rate; empty if it did not.
    """

    points: list[Point] = field(default_factory=list)
    ended: str = ""
    _sum: float = 0.0

    @property
    def settled(self) -> list[Point]:
        """The points whose smoothed loss is a mean over about as many updates as it will ever be."""
        return self.points[SETTLED - 1 :]

    def add(self, rate: float, loss: float) -> None:
        """Adds an update; one that ends the test sets `ended`."""
        if not math.isfinite(loss):
            self.ended = f"at {rate:.2g} the loss was not finite any more"
            return
        self._sum = SMOOTHING * self._sum + (1 - SMOOTHING) * loss
        # The sum began with 0, which has the share that is missing to 1 (as of Adam's means, arXiv:1412.6980).
        smoothed = self._sum / (1 - SMOOTHING ** (len(self.points) + 1))
        self.points.append(Point(rate, loss, smoothed))
        if smoothed > EXPLODED * min((point.smoothed for point in self.settled), default=math.inf):
            self.ended = f"at {rate:.2g} the loss was more than {EXPLODED:g} times its least"


@dataclass(frozen=True)
class ShortRun:
    """Some updates at one rate, from the same start and on the same batches as the others.

    Attributes:
        rate: The rate; the schedule and warm-up of the training, in small, go with it.
        loss: Of validation, after them; None where training diverged.
        accuracy: Likewise.
    """

    rate: float
    loss: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Finding:
    """What was found.

    All rates are those of the config, which training multiplies where it scales them with the batch.

    Attributes:
        from_runs: The learning rate that the short runs would have.
        key: The setting that it is for.
        optimizer: The optimizer that it is for.
        stage: The stage of the training that it was tried on, from 1.
        stages: How many there are.
        first: The rate that the curve leads to, and the short runs began with.
        curve: The points of the range test.
        ended: Why it ended before its last rate; empty if it did not.
        begun: The loss of validation before any update.
        runs: The short runs, by their rates.
        updates: How many each of them had.
        seconds: How long all of it took.
        judges: How many validation images they were judged on.
        usual: The rate that is usual for the optimizer, in two digits.
    """

    from_runs: float
    key: str
    optimizer: str
    stage: int
    stages: int
    first: float
    curve: tuple[Point, ...]
    ended: str
    begun: float
    runs: tuple[ShortRun, ...]
    updates: int
    seconds: float
    judges: int
    usual: float

    @property
    def told_apart(self) -> bool:
        """Whether the validation images are enough to tell the rates of the short runs apart.

        The loss of an image scatters about as much as its mean is large, so the mean of n has a standard error of the
        share 1 / sqrt(n) of itself; what is above the least by less than that may be so by chance. Where a rate and the
        ones on either side of it, or two beside it, are that, the best is anywhere among these.
        """
        best = least(self.runs)
        if best is None or best.loss is None:
            return True
        if self.judges < FEW_JUDGES:
            return False
        most = (1 + self.judges**-0.5) * best.loss
        alike = [run.rate for run in self.runs if run.loss is not None and run.loss <= most]
        return bool(max(alike) < 0.9 * APART**2 * min(alike))  # rates are rounded

    @property
    def too_high(self) -> float | None:
        """The smallest rate up to the usual one at which training goes wrong, for which few judges are enough.

        It diverges there, or its range test ends there, or its loss is above the least one, of a smaller rate, by
        three of the standard errors of `told_apart`.
        """
        best = least(self.runs)
        if best is None or best.loss is None:
            return min((run.rate for run in self.runs if run.rate <= self.usual), default=None)
        most = (1 + 3 * max(1, self.judges) ** -0.5) * best.loss
        high = [run.rate for run in self.runs if run.loss is None or (run.rate > best.rate and run.loss > most)]
        high += [self.curve[-1].rate] if self.ended and self.curve else []
        return min((rate for rate in high if rate <= self.usual), default=None)

    @property
    def usual_stands(self) -> bool:
        """Whether the usual rate is the one to train with: it can't be told which is better, and it is not too high."""
        return not self.told_apart and self.too_high is None

    @property
    def rate(self) -> float:
        """The rate that is suggested, and that `auto` trains with."""
        return self.usual if self.usual_stands else self.from_runs

    @property
    def top(self) -> float:
        """Up to which loss the curve is of interest: a little above where it began, not where it exploded."""
        beginning = max(point.smoothed for point in self.curve[: max(1, len(self.curve) // 2)])
        least = min(point.smoothed for point in self.curve)
        return beginning + 0.5 * max(beginning - least, 0.05 * beginning)

    def setting(self) -> str:
        """The `KEY=VALUE` that makes a training use it."""
        return f"{self.key}={self.rate:g}"

    def line(self) -> str:
        """It in a sentence."""
        tried = enumerated((f"{run.rate:g}" for run in self.runs), "and")
        values = enumerated(("diverged" if run.loss is None else f"{run.loss:.4f}" for run in self.runs), "and")
        after = counted(self.updates, "update")
        of = f" (tried in stage {self.stage}, for all that have none of their own)" if self.stages > 1 else ""
        usual = f", the usual one of {self.optimizer}" if self.usual_stands else ""
        return f"learning rate {self.rate:g}{usual}{of}: after {after} at {tried} the loss of validation is {values}"

    def caution(self) -> str | None:
        """That the short runs, or their judges, say little, or the best is at an end of the row; None otherwise."""
        best = least(self.runs)
        cautions = []
        if best is None or best.loss is None or best.loss >= (1 - LEARNT) * self.begun:
            cautions.append(
                f"at none of these rates the loss of validation fell by {percent(LEARNT)} of the {self.begun:.4f} that "
                "it begins with, so this says little of the rate: it learns slowly, has nothing left to learn, or "
                "can't learn from the images"
            )
        if not self.told_apart:
            stands = (
                f"so the usual rate of {self.optimizer} stands: {self.usual:g}"
                if self.usual_stands
                else f"but the usual rate of {self.optimizer}, {self.usual:g}, is no better, as {self.too_high:.2g} "
                "is too high already"
            )
            cautions.append(
                f"{counted(self.judges, 'validation image')} can't tell these rates apart: that the short runs would "
                f"have {self.from_runs:g} may be chance, {stands}"
            )
        if best is None or cautions:
            return "; ".join(cautions)
        for end, which, further, factor in ((0, "smallest", "smaller", 1 / APART), (-1, "largest", "larger", APART)):
            if best is self.runs[end]:
                return (
                    f"{best.rate:g} is the {which} rate that was tried and did best, so a {further} one may do better; "
                    f"try one by hand, such as --set {self.key}={rounded(best.rate * factor):g}"
                )
        return None

    def as_json(self) -> dict[str, Any]:
        """As `cnnkit lr --json` and a run tell it."""
        return {
            "learning_rate": self.rate,
            "setting": self.setting(),
            "optimizer": self.optimizer,
            "stage": self.stage,
            "from_curve": self.first,
            "from_runs": self.from_runs,
            "caution": self.caution(),
            "loss_before": self.begun,
            "runs": [asdict(run) for run in self.runs],
            "updates": self.updates,
            "validation_images": self.judges,
            "usual": self.usual,
            "ended": self.ended or None,
            "seconds": round(self.seconds, 1),
            "curve": [asdict(point) for point in self.curve],
        }


def rates(least: float, most: float, count: int) -> list[float]:
    """So many rates from the least to the most, each the same number of times the one before."""
    return [least * (most / least) ** (number / (count - 1)) for number in range(count)]


def rounded(rate: float) -> float:
    """A rate to two digits: what is tried, written and used is the same number."""
    return float(f"{rate:.1e}")


def least(runs: Sequence[ShortRun]) -> ShortRun | None:
    """The one with the least loss; of equal ones that with the smaller rate; None if all diverged."""
    judged = [run for run in runs if run.loss is not None]
    return min(judged, key=lambda run: (run.loss, run.rate), default=None)


def chosen(runs: Sequence[ShortRun]) -> ShortRun | None:
    """The one with the least loss, or the next smaller rate where its loss is hardly more; None if all diverged."""
    first = least(runs)
    if first is None or first.loss is None:
        return None
    below = max((run for run in runs if run.rate < first.rate), key=lambda run: run.rate, default=first)
    return below if below.loss is not None and below.loss <= (1 + HARDLY) * first.loss else first


def start(curve: Curve) -> float:
    """The rate at which to try first: well below the one at which the loss is least, where it begins to be unsteady."""
    return min(curve.settled or curve.points[-1:], key=lambda point: point.smoothed).rate / BELOW
