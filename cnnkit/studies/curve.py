"""The learning curve: would more images help? Accuracy on validation by how many images train, and how it goes on.

A classifier is fitted to what a pretrained network makes of the images, or the network of the config is trained, with a
tenth, a fifth, a half and all of the training images. How far the curve can be trusted is told by drawing again: the
validation images, which all sizes share (Efron 1979, the bootstrap), and the luck of a training, which repeats show.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import NormalDist
from typing import Any

from cnnkit.config.experiment import Experiment
from cnnkit.core.errors import DataError
from cnnkit.core.lazy import np
from cnnkit.core.progress import Progress
from cnnkit.core.text import counted
from cnnkit.data.index import ranked
from cnnkit.evaluation.intervals import CONFIDENCE
from cnnkit.inspection.first_config.duration import roughly
from cnnkit.studies import material
from cnnkit.studies.several import several
from cnnkit.training import head
from cnnkit.training.data import TrainingData

SHARES = (0.1, 0.2, 0.5, 1.0)
"""Of the training images."""

FITTED, TRAINED = 5, 2
"""Repeats of each size but the whole: of a fitted classifier, and of a training."""

FEWEST = 40
"""Training images below which there is no curve."""

DRAWS = 200
"""Of the bootstrap."""

CLEAR, LITTLE = 0.005, 0.01
"""A gain by twice the images that is surely above the first is worth telling; one surely below the second is hardly
any."""

EXPONENTS = (0.01, 1.5, 150)
"""The least and the largest that are tried, and how many: errors of learning curves fall with exponents of 0.1 to 1
(Hestness et al. 2017, arXiv:1712.00409)."""

Classifier = Callable[[Sequence[int], int], tuple[Any, float | None]]
"""From the numbers of training images and a seed to which validation images are told right, bool (n,); and the share of
those that it learnt from, None where it is at the optimum of its loss, so that longer would tell nothing else."""


@dataclass(frozen=True)
class Point:
    """The accuracy with so many training images.

    Attributes:
        images: How many, in the mean of the repeats; where a network is trained, a tenth of them choose its epoch.
        accuracy: On the validation images, in the mean of the repeats.
        interval: Where it is with 95 % confidence.
        repeats: How often it was measured, each time with other images.
    """

    images: int
    accuracy: float
    interval: tuple[float, float]
    repeats: int


@dataclass(frozen=True)
class Continuation:
    """How the curve goes on, by a - b n^-c through its points.

    Attributes:
        images: Twice the training images.
        accuracy: What is expected with these.
        interval: Where it is with 95 % confidence, if the curve goes on as it has begun.
        gain: By how much that is better than now, at least and at most, with the same confidence.
        limit: The a of the fit: what no number of images would go beyond.
    """

    images: int
    accuracy: float
    interval: tuple[float, float]
    gain: tuple[float, float]
    limit: float


@dataclass(frozen=True)
class LearningCurve:
    """A learning curve.

    Attributes:
        by: What was fitted or trained, in words.
        validation: How many images judged.
        points: The sizes.
        continuation: How it goes on; None where the accuracy surely falls.
        known: The share of its own images that the training with all of them tells right in the end, as they are and
            not augmented; None of fitted classifiers.
    """

    by: str
    validation: int
    points: tuple[Point, ...]
    continuation: Continuation | None
    known: float | None = None

    def sentence(self) -> str:
        """Whether more images would help."""
        if self.continuation is None:
            first, last = self.points[0], self.points[-1]
            falls = f"the accuracy falls with their number, from {first.accuracy:.3f} to {last.accuracy:.3f}"
            return f"Whether more images would help can't be told: {falls}."
        on, now = self.continuation, self.points[-1].accuracy
        low, high = on.interval
        figures = f"With twice the images ({on.images:,}) about {on.accuracy:.3f} ({low:.3f} to {high:.3f})"
        figures += f", {now:.3f} now"
        if on.gain[0] > CLEAR and on.accuracy <= now:  # the form does not fit: such a curve rises ever more slowly
            return (
                f"{figures}, which lies above the curve through all sizes: whether more images would help can't be "
                "told for sure."
            )
        # Of the mistakes those that are made on its own images too are no want of others; and to have twice the images
        # is to have twice the updates, so that a training that ended too soon gains by them whatever they show.
        if on.gain[0] > CLEAR and self.known is not None and 1 - self.known > self.known - now:
            return (
                f"{figures}: more images would help, but so may more epochs, or a larger network, with these: of those "
                f"that it was trained on the network tells {self.known:.3f} right, so most of its mistakes are no want "
                "of others. Try that first."
            )
        if on.gain[0] > CLEAR:
            return f"{figures}: more images would help."
        if on.gain[1] < LITTLE:
            return f"{figures}: more images would hardly help; another network or other settings may."
        return f"{figures}: whether more images would help can't be told for sure."

    def as_json(self) -> dict[str, Any]:
        """The document of `cnnkit data --curve --json`."""
        return {**asdict(self), "verdict": self.sentence()}


@several()
def measure(experiment: Experiment, progress: Progress | None = None) -> LearningCurve:
    """Measures the learning curve of an experiment: would more images help?

    Args:
        experiment: The experiment. Where its network is pretrained, a classifier is fitted to its features; else it is
            trained as the config says.
        progress: Is told how far it is.

    Returns:
        It has `points`, `continuation` and `sentence()`; `as_json()` is the document of `cnnkit data --curve --json`.

    Raises:
        DataError: There are too few images to train on, or none to choose by.
    """
    progress = progress or Progress()
    data = material.material(experiment, progress)
    train, validation = data.numbers("train"), data.numbers("validation")
    if len(train) < FEWEST or not validation:
        raise DataError(
            f"{counted(len(train), 'image')} to train on and {len(validation):,} to choose by: a curve needs at least "
            f"{FEWEST} and 1"
        )
    classify: Classifier
    if data.experiment.model.pretrained:
        classify, repeats, by = _fitted(data, progress), FITTED, "classifiers fitted to the pretrained network"
    else:
        by = "trainings of the config's network, with a tenth of the images to choose the epoch"
        classify, repeats = _trained(data, progress), TRAINED
    plan = [(share, seed) for share in SHARES for seed in range(repeats if share < 1 else 1)]
    whole = sum(share for share, _ in plan)
    progress.say(f"{len(plan)} {by}, together about {whole:.1f} times the work of one with all images")
    found: dict[float, list[tuple[int, Any]]] = {share: [] for share in SHARES}
    known: float | None = None
    took: dict[float, list[float]] = {}
    subsets = {seed: Nested(data, train, seed) for seed in range(repeats)}
    with progress.task("measuring the curve, in percent", 100) as advance:
        behind = 0.0
        for done, (share, seed) in enumerate(plan, start=1):
            numbers, began = subsets[seed].of(share), time.perf_counter()
            answers, known = classify(numbers, seed)  # that of all images is the last
            found[share].append((len(numbers), answers))
            advance(round(100 * (behind + share) / whole) - round(100 * behind / whole))
            behind += share
            took.setdefault(share, []).append(time.perf_counter() - began)
            rest = [share for share, _ in plan[done:]]
            if len(took) > 1 and rest and rest[0] != share:
                progress.say(f"the rest: {roughly(seconds_left(took, rest))}, guessed by the {len(took)} sizes so far")
    sizes = [round(float(np.mean([count for count, _ in found[share]]))) for share in SHARES]
    right = [np.stack([each for _, each in found[share]]).astype(float) for share in SHARES]
    points = tuple(map(point, sizes, right, luck(right)))
    return LearningCurve(by, len(validation), points, continued(sizes, right, experiment.seed), known)


def seconds_left(took: Mapping[float, Sequence[float]], rest: Sequence[float]) -> float:
    """How long the rest takes, by the line through what was measured: each has a part that is the same for all sizes.

    Args:
        took: Of two shares or more the seconds of each time, in their order. The first of all starts the network, and
            does not count where its share has another.
        rest: The shares to come.
    """
    (share, (first, *others)), *later = took.items()
    took = {share: others or [first], **dict(later)}
    slope, start = np.polyfit([*took], [float(np.median(each)) for each in took.values()], 1)
    at_least = max(map(min, took.values()))
    return float(sum(max(start + slope * share, at_least) for share in rest))


def luck(right: Sequence[Any]) -> list[float]:
    """How much the accuracy of each size varies with which images train and how a training begins: a variance.

    A few repeats tell little of it, and that of the whole, which can't be drawn anew, nothing: so each is taken for as
    large at least as the mean of all sizes that have repeats. It falls with more images, so that is rather too much.

    Args:
        right: Of each size, float64 (repeats, validation images), 1 where one was told right.
    """
    own = [float(answers.mean(axis=1).var(ddof=1)) if len(answers) > 1 else None for answers in right]
    known = [each for each in own if each is not None]
    least = sum(known) / len(known) if known else 0.0
    return [max(each or 0.0, least) for each in own]


def point(images: int, right: Any, luck: float) -> Point:
    """The accuracy of one size, with an interval that knows of the chance in both: which images train, and which judge.

    The variance of a mean of few answers is that of Agresti and Coull (1998), with two right and two wrong ones added.

    Args:
        images: How many trained.
        right: float64 (repeats, validation images), 1 where one was told right.
        luck: The variance of one repeat, see `luck`.
    """
    repeats, judged = right.shape
    accuracy, middle = float(right.mean()), float((right.mean() * judged + 2) / (judged + 4))
    half = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * math.sqrt(middle * (1 - middle) / (judged + 4) + luck / repeats)
    interval = (max(0.0, min(accuracy, middle - half)), min(1.0, max(accuracy, middle + half)))
    return Point(images, accuracy, interval, repeats)


def continued(sizes: Sequence[int], right: Sequence[Any], seed: int = 0) -> Continuation | None:
    """The curve at twice the largest size; None where the accuracy surely falls.

    Args:
        sizes: How many images trained, rising.
        right: Of each, float64 (repeats, validation images), 1 where one was told right.
        seed: Of the bootstrap.
    """
    random, twice = np.random.default_rng(seed), 2 * sizes[-1]
    by_judge = np.stack([answers.mean(axis=0) for answers in right])
    judged = by_judge.shape[1]
    drawn = np.stack([by_judge[:, random.integers(0, judged, judged)].mean(axis=1) for _ in range(DRAWS)])
    deviations = np.sqrt([variance / len(answers) for variance, answers in zip(luck(right), right, strict=True)])
    drawn = np.clip(drawn + random.normal(0.0, deviations, drawn.shape), 0.0, 1.0)
    ends = [100 * (1 - CONFIDENCE) / 2, 100 * (1 + CONFIDENCE) / 2]
    if np.percentile(drawn[:, -1] - drawn[:, 0], ends[1]) < 0:
        return None
    fitted, again = fit(sizes, by_judge.mean(axis=1)), fit(sizes, drawn)
    expected, values = float(at(fitted, twice)), at(again, twice)
    low, high = np.percentile(values, ends).tolist()
    least, most = np.percentile(values - at(again, sizes[-1]), ends).tolist()
    return Continuation(twice, expected, (min(low, expected), max(high, expected)), (least, most), float(fitted[0]))


def fit(sizes: Sequence[int], accuracies: Any) -> Any:
    """The a, b and c of a - b n^-c by least squares, with a in 0..1, the distance to it at the largest size in 0..1.

    For each exponent that is tried the best of the other two is known (linear regression; Golub and Pereyra 1973), so
    there always is a fit, also of accuracies that do not rise: b is 0 then.

    Args:
        sizes: How many images trained.
        accuracies: float64 (..., sizes), one curve or many.

    Returns:
        float64 (3, ...).
    """
    y, exponents = np.asarray(accuracies, float)[..., None, :], np.linspace(*EXPONENTS)
    x = -((np.asarray(sizes, float) / max(sizes)) ** -exponents[:, None])
    apart = x - x.mean(axis=1, keepdims=True)
    b = np.clip((y * apart).sum(axis=-1) / (apart**2).sum(axis=1), 0.0, 1.0)
    a = y.mean(axis=-1) - b * x.mean(axis=1)
    at_most = np.clip(((y - 1.0) * x).sum(axis=-1) / (x**2).sum(axis=1), 0.0, 1.0)
    a, b = np.where(a > 1.0, 1.0, a), np.where(a > 1.0, at_most, b)
    best = ((a[..., None] + b[..., None] * x - y) ** 2).sum(axis=-1).argmin(axis=-1)[..., None]
    c = exponents[best[..., 0]]
    a, b = (np.take_along_axis(each, best, axis=-1)[..., 0] for each in (a, b))
    return np.stack([a, b * float(max(sizes)) ** c, c])


def at(fitted: Any, images: int) -> Any:
    """The accuracies that fits (3, ...) expect with so many training images."""
    a, b, c = fitted
    return a - b * float(images) ** -c


class Nested:
    """Subsets of the training images, each within all larger ones, with the classes as in the whole.

    What belongs together is in or out together. Which are in is decided by content and seed, not by names.

    Args:
        data: The images.
        train: Numbers of those that train.
        seed: Chooses others.
    """

    def __init__(self, data: TrainingData, train: Sequence[int], seed: int):
        groups, labels = data.groups(), data.images.index.labels
        members: dict[str, list[int]] = {}
        for i in train:
            members.setdefault(groups[i], []).append(i)
        by_class: dict[int, list[list[int]]] = {}
        for group in sorted(members, key=lambda group: ranked(group, seed, "curve")):
            numbers = members[group]
            by_class.setdefault(min(int(labels[i]) for i in numbers), []).append(numbers)
        self._by_class = by_class

    def of(self, share: float) -> list[int]:
        """About that share of each class, at least one group; in the order of the index."""
        chosen: list[int] = []
        for groups in self._by_class.values():
            wanted, taken = share * sum(map(len, groups)), 0
            for numbers in groups:
                # A group that would go further beyond than its absence falls short is the first that stays out.
                if taken and taken + len(numbers) / 2 > wanted:
                    break
                chosen += numbers
                taken += len(numbers)
        return sorted(chosen)


def _fitted(data: TrainingData, progress: Progress) -> Classifier:
    """Fits classifiers to what the pretrained network makes of the images."""
    features = material.features_of_backbone(data, progress)
    index, groups, validation = data.images.index, data.groups(), data.numbers("validation")

    def classify(train: Sequence[int], seed: int) -> tuple[Any, float | None]:
        found = head.fit(
            features[train],
            index.labels[train],
            np.ones(len(train)),
            [groups[i] for i in train],
            len(index.classes),
            seed,
        )
        return (features[validation] @ found.kernel + found.bias).argmax(axis=1) == index.labels[validation], None

    return classify


def _trained(data: TrainingData, progress: Progress) -> Classifier:
    """Trains the network of the experiment; the best epoch is chosen by images that otherwise train, not by judges."""
    index, groups, validation = data.images.index, data.groups(), data.numbers("validation")

    def classify(train: Sequence[int], seed: int) -> tuple[Any, float | None]:
        parts = head.dealt(index.labels[train], [groups[i] for i in train], seed, 10)
        chooses = [i for i, part in zip(train, parts, strict=True) if part == 0]
        learns = [i for i, part in zip(train, parts, strict=True) if part != 0]
        again = replace(data, experiment=data.experiment.model_copy(update={"seed": data.experiment.seed + seed}))
        asked = [*validation, *learns]
        found = material.probabilities_of_training(again, learns, chooses, asked, progress)
        right = found.argmax(axis=1) == index.labels[asked]
        return right[: len(validation)], float(right[len(validation) :].mean())

    return classify
