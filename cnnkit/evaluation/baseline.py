"""Baseline: what simple methods reach on small pixels, and what the network adds to the best of them."""

from __future__ import annotations

import importlib
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar

from cnnkit.core.errors import DataError, TrainingError
from cnnkit.core.lazy import cv2, np
from cnnkit.core.progress import Progress
from cnnkit.core.text import by, enumerated, first_line
from cnnkit.data.index import Index
from cnnkit.evaluation.exam import IMPOSSIBLE, Exam, Question, Shown
from cnnkit.evaluation.gate import with_ends
from cnnkit.evaluation.intervals import wilson
from cnnkit.evaluation.metrics import words
from cnnkit.evaluation.paired import Paired, doubt


@dataclass(frozen=True)
class Baseline(Question):
    """What simple methods reach on the same images, shown small, and what the network adds to the best of them.

    Images that are among those of the training too, by their contents, are left out: they would be known by heart.

    They are the class that most training images have, the nearest training image by Euclidean distance, and logistic
    regression. Neither balancing nor augmentation enters. How many images are learnt from and how much is computed is
    bound by counts alone, and it computes on one core: no figure depends on how fast a machine is, or on how many cores
    it has. Reading the images is bound by no time.

    Attributes:
        side: Pixels that height and width have at the most.
        most: Training images that are learnt from at the most, and images that are judged; chosen by their contents.
    """

    side: int = 16
    most: int = 10_000

    name: ClassVar[str] = "baseline"
    of_answers_alone = True

    def answered(self, exam: Exam) -> dict[str, Any]:
        """The accuracy of each method, and what the network adds; or `impossible`, with why.

        That is where no image is left to judge it, or its training images can't be read any more: who evaluates a
        network elsewhere need not have them.

        Args:
            exam: Of which the answers are judged; its training images are read.

        Raises:
            TrainingError: The record of the splits is missing or damaged, or memory is too small.
        """
        try:
            return self._compared(exam)
        except MemoryError as error:
            raise TrainingError("out of memory", _WITHOUT) from error

    def _compared(self, exam: Exam) -> dict[str, Any]:
        if exam.split == "train":
            return {IMPOSSIBLE: _ITS_OWN}
        numbers, digests = exam.shown.numbers, exam.shown.images.index.digests
        trained = {row.digest for row in exam.run.split("train")}
        new = [place for place in exam.shown.sample(len(numbers)) if digests[numbers[place]] not in trained]
        if not new:
            return {IMPOSSIBLE: _ITS_OWN}
        try:
            known = exam.of("train", self.most)
            chosen = np.asarray(known.sample(self.most))
            x = _small(known, chosen, self.side, exam.progress)
        except DataError as error:
            return {IMPOSSIBLE: f"the images of its training can't be read: {first_line(error)}"}
        y = np.asarray(known.labels)[chosen]
        places = np.asarray(new[: self.most])
        asked = _small(exam.shown, places, self.side, exam.progress)
        truth = exam.answers.labels[places]
        found: dict[str, Any] = {
            "pixels": list(x.shape[1:3]),
            "learnt_from": [len(x), len(known.numbers) + known.others],
            "images": [len(asked), len(numbers)],
            "known_from_training": len(numbers) - len(new),
        }
        right: dict[str, Any] = {}
        with exam.progress.task("fitting a baseline", len(METHODS)) as advance, _one_thread():
            for method, answer in METHODS.items():
                told = answer(_flat(x), y, _flat(asked))
                advance(1)
                if told is not None:
                    right[method] = told == truth
                    share = float(np.mean(right[method]))
                    found[method] = {"accuracy": share, "accuracy_interval": wilson(share, len(truth))}
        best = max(right, key=lambda method: int(right[method].sum()))
        network = exam.answers.predicted[places] == truth
        pairs = Paired.of(network, right[best])
        adds, ends = pairs.difference, list(pairs.difference_interval)
        return found | {"best": best, "network_adds": adds, "network_adds_interval": ends, "p": pairs.p}

    def operations(self, train: int, judged: int, shape: Sequence[int], classes: int) -> float:
        """Multiplications and additions that it takes at the most, which it costs time by.

        Args:
            train: Images that train.
            judged: Images that are judged.
            shape: Height, width and channels of an image.
            classes: How many classes.
        """
        height, width, channels = shape
        learnt, asked = min(train, self.most), min(judged, self.most)
        numbers = learnt * min(self.side, height) * min(self.side, width) * channels
        step = _PASSES * numbers * classes
        return asked * numbers + (step * _steps(step) if step else 0)

    def figures(self, classes: Sequence[str], index: Index | None = None) -> list[str] | None:
        """Those of `answered`."""
        shares = with_ends(*(f"{method}.accuracy" for method in METHODS), "network_adds")
        return [*shares, "p", "known_from_training"]

    def lines(self, found: Mapping[str, Any]) -> Iterator[str]:
        """What the best of them reaches and what the network adds, in a line."""
        if IMPOSSIBLE in found:
            yield f"no baseline: {found[IMPOSSIBLE]}"
            return
        best, adds, (low, high) = found["best"], found["network_adds"], found["network_adds_interval"]
        how = "always saying the majority class" if best == "majority" else words(best)
        if best != "majority":
            how += f" on {by(found['pixels'])} pixels"
        line = f"baseline: {how} reaches {found[best]['accuracy']:.4f}; the network "
        if adds >= 0:
            line += f"adds {adds:.4f} (95 % interval {low:.4f} to {high:.4f})"
        else:
            line += f"is {-adds:.4f} below that (95 % interval of the difference {low:.4f} to {high:.4f})"
        line += doubt(found.get("p"), (low, high))
        used, of = found["learnt_from"]
        if used < of:
            line += f"; learnt from {used:,} of the {of:,} training images"
        judged, of = found["images"]
        if judged < of:
            line += f"; judged on {judged:,} of {of:,} images"
            if known := found.get("known_from_training"):
                line += f", without the {known:,} that it learns from"
        if late := [words(method) for method in METHODS if method not in found]:
            line += f"; not tried: {enumerated(late, 'and')}"
        yield line


def _small(shown: Shown, places: Sequence[int], side: int, progress: Progress) -> Any:
    """Images by area averaging, uint8 (n, h, w, C)."""
    height, width, channels = shown.images.shape
    size = (min(side, width), min(side, height))
    made = np.empty((len(places), size[1], size[0], channels), np.uint8)
    with progress.task("making images small", len(places)) as advance:
        for first in range(0, len(places), _LOT):
            numbers = [shown.numbers[place] for place in places[first : first + _LOT]]
            for at, image in enumerate(shown.images.rows(numbers), start=first):
                made[at] = cv2.resize(image, size, interpolation=cv2.INTER_AREA).reshape(made.shape[1:])
            advance(len(numbers))
    return made


def _one_thread() -> AbstractContextManager[Any]:
    """Native code computes in one thread within: sums over several come in another order each time."""
    for module in ("sklearn.neighbors", "sklearn.linear_model"):
        importlib.import_module(module)  # only threads of libraries that are loaded by now are limited
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[Any] = threadpool_limits(1)
    return limits


def _flat(images: Any) -> Any:
    """As float32 (n, pixels), 0..1."""
    return images.reshape(len(images), -1).astype(np.float32) / 255


def _majority(x: Any, y: Any, asked: Any) -> Any:
    """The class that most have, for each image."""
    return np.full(len(asked), np.bincount(y).argmax())


def _nearest(x: Any, y: Any, asked: Any) -> Any:
    """The class of the nearest image."""
    from sklearn.neighbors import KNeighborsClassifier

    nearest = KNeighborsClassifier(1, algorithm="brute").fit(x, y)
    return nearest.predict(asked)


def _regression(x: Any, y: Any, asked: Any) -> Any:
    """What logistic regression says on standardised pixels; None if there is only one class."""
    classes = len(np.unique(y))
    if classes < 2:
        return None
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    mean, spread = x.mean(axis=0), x.std(axis=0)
    spread[spread == 0] = 1
    fitted = LogisticRegression(C=_STRENGTH, max_iter=_steps(_PASSES * x.size * classes))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # as many steps as may be taken are what is asked
        fitted.fit((x - mean) / spread, y)
    return fitted.predict((asked - mean) / spread)


def _steps(operations: float) -> int:
    """Those of logistic regression, where each takes so many operations: it can't be stopped, so they are bound."""
    return min(_STEPS, max(1, math.floor(_OPERATIONS / operations)))


METHODS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "majority": _majority,
    "nearest_neighbour": _nearest,
    "logistic_regression": _regression,
}
"""What the network is measured against: from images, their classes and others to the classes of the others."""

_ITS_OWN = "it would be judged on the images that it learns from"

_WITHOUT = "--no-baseline evaluates without it"

_LOT = 1000
"""Images that are worked on at a time."""

_STEPS = 100
"""Steps of logistic regression at the most."""

_PASSES = 4
"""Operations of a step for each number and class: it goes through the numbers twice, to multiply and to add."""

_STRENGTH = 0.01
"""The inverse of the weight of its penalty: standardised pixels are many, and images few."""

_OPERATIONS = 2e11
"""Multiplications and additions that it may take: some ten seconds of one core."""
