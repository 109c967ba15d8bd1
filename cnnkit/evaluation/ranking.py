"""Ranking: how well probabilities put the images of a class before the others, whatever threshold one takes.

Areas are those of scikit-learn, for a thousand classes at once. Their variances come from what each image adds: the
derivative of the area by the weight of the image, of which the infinitesimal jackknife (Jaeckel 1972) makes a variance;
of an area under a ROC curve it is that of DeLong et al. 1988, but for m / (m - 1), which is made good.

Few images say little of how uncertain they are: one has no variance at all. So their variance is drawn towards the
largest that there can be, area * (1 - area) / m with m images on the smaller side (Birnbaum and Klose 1957, Bounds for
the variance of the Mann-Whitney statistic, Annals of Mathematical Statistics 28, 933-945). An interval is Wilson's of
as many images as have the variance found (the effective number of Korn and Graubard 1998, Confidence intervals for
proportions with small expected number of positive counts, Survey Methodology 24, 193-201).

Measured for classes of 1, 2, 3, 5, 10, 30 and 249 images, with areas under the ROC curve of 0.78, 0.95 and 0.995: with
fewer than 30 images on a side 98 % or more of these intervals hold it, as the widest variance is seldom the true one,
and 95 to 99 % with more; of those of average precision 90 % or more where it is below 0.1, else 94 % or more. With
`scripts/measure_intervals.py --figure areas --simulations 1000 --sizes 1 2 3 5 10 30 249 --apart 1`, or 2 or 3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from cnnkit.core.lazy import np
from cnnkit.evaluation.intervals import interval


@dataclass(frozen=True)
class Curve:
    """What is of a class and what is not, by the probability of being it: all that areas under its curves depend on.

    Images are put into cells: one for each probability that an image of the class has, one below each of these and one
    above all, in this order. Images in a cell count alike.

    Attributes:
        cells: int64 (images,), the cell of each image.
        positives: int64 (cells,), how many images in each are of the class.
        negatives: int64 (cells,), how many are not.
    """

    cells: Any
    positives: Any
    negatives: Any

    @classmethod
    def of(cls, one: Any, scores: Any) -> Curve:
        """From whether each image is of the class, bool (images,), and its probability of it, float (images,).

        At least one has to be of the class.
        """
        values, counts = np.unique(scores[one], return_counts=True)
        places = np.searchsorted(values, scores)
        cells = 2 * places + (np.append(values, np.inf)[places] == scores)
        positives = np.zeros(2 * len(values) + 1, np.int64)
        positives[1::2] = counts
        return cls(cells, positives, np.bincount(cells, minlength=len(positives)) - positives)

    def roc(self) -> tuple[float, Any, Any]:
        """The area under the ROC curve: how often an image of the class has the larger probability than another one.

        Returns:
            It, and its derivatives by the weight of an image in each cell, float64 (cells,): of the class, and not.
        """
        of_class, others = self.positives.sum(), self.negatives.sum()
        # The share of the others that an image beats, or of the class that beats it; a tie is half a win.
        beaten = (np.cumsum(self.negatives) - self.negatives / 2) / others
        beat = 1 - (np.cumsum(self.positives) - self.positives / 2) / of_class
        area = float((self.positives * beaten).sum() / of_class)
        return area, (beaten - area) / of_class, (beat - area) / others

    def precision_recall(self) -> tuple[float, Any, Any]:
        """The area under the curve of precision by recall, as average precision: steps, no trapezoids; the same three.

        With T images of the class and N in all at least as likely as image i, average precision is the mean of T / N
        over the images of the class. A weight changes the term of its own image, and the T and N of all that are less
        likely.
        """
        of_class = self.positives.sum()
        count = np.cumsum((self.positives + self.negatives)[::-1])[::-1]
        # Above the likeliest of the class there may be nothing.
        with_images = np.maximum(count, 1)
        precision = np.cumsum(self.positives[::-1])[::-1] / with_images
        area = float((self.positives * precision).sum() / of_class)
        more = np.cumsum(self.positives / with_images)
        less = np.cumsum(self.positives * precision / with_images)
        return area, (precision - area + more - less) / of_class, -less / of_class

    def by_weight(self, one: Any, of_class: Any, others: Any) -> Any:
        """The derivative by the weight of each image, float64 (images,), from those of the cells."""
        return np.where(one, of_class[self.cells], others[self.cells])


@dataclass(frozen=True)
class Areas:
    """An area under a curve, of each class against all others.

    Attributes:
        of_class: The areas; None of a class that no image has, or that all have.
        by_weight: float64 (images,), the derivative of their mean by the weight of each image.
        of_class_intervals: Intervals of the areas.
        mean_interval: That of their mean; None where no class has one.
        count: Of how many images the interval of the mean is where they leave no error.
    """

    of_class: list[float | None]
    by_weight: Any
    of_class_intervals: list[list[float] | None]
    mean_interval: list[float] | None
    count: int

    @property
    def mean(self) -> float | None:
        """Their mean over the classes that have one; None where none has."""
        known = [value for value in self.of_class if value is not None]
        return float(np.mean(known)) if known else None


class _Area(NamedTuple):
    """An area of one class, in 0..1.

    Attributes:
        value: It.
        variance: Its variance by the jackknife, as it is and without what it lacks of few images.
        unbiased: The same with m / (m - 1) for each side.
        fewer: Images on the smaller side.
        widest: What the variance can be, over value * (1 - value) / fewer.
    """

    value: float
    variance: float
    unbiased: float
    fewer: int
    widest: float

    @classmethod
    def of(cls, curve: Curve, found: tuple[float, Any, Any], widest: float) -> _Area:
        """From a curve and what it tells of the area."""
        value, of_class, others = found
        sides = [
            (float((counts * slopes**2).sum()), int(counts.sum()))
            for counts, slopes in ((curve.positives, of_class), (curve.negatives, others))
        ]
        unbiased = sum(squares * count / max(1, count - 1) for squares, count in sides)
        fewer = min(count for _, count in sides)
        return cls(min(1.0, max(0.0, value)), sum(squares for squares, _ in sides), unbiased, fewer, widest)

    def as_many(self, more: int) -> float:
        """Of how many images a proportion has its variance, drawn towards the widest as if by `more` images."""
        bound = self.value * (1 - self.value) / self.fewer
        # Where all are in their place there is nothing to see of it.
        share = self.unbiased / bound if bound > 1e-12 else 1.0
        return self.fewer * (self.fewer - 1 + more) / (share * (self.fewer - 1) + more * self.widest)

    def interval(self) -> tuple[float, float]:
        """Its interval, that of one class."""
        return interval(self.value, self.as_many(_MORE))


def areas(labels: Any, probabilities: Any) -> tuple[Areas, Areas]:
    """Areas under the ROC curves, and under those of precision by recall.

    Args:
        labels: int64 (images,).
        probabilities: float64 (images, classes).
    """
    images, classes = probabilities.shape
    counts = np.bincount(labels, minlength=classes)
    totals = np.zeros((2, images))
    found: tuple[dict[int, _Area], dict[int, _Area]] = ({}, {})
    known = np.flatnonzero((counts > 0) & (counts < images))
    for first in range(0, len(known), _AT_ONCE):
        some = known[first : first + _AT_ONCE]
        for number, scores in zip(some.tolist(), np.ascontiguousarray(probabilities[:, some].T), strict=True):
            one = labels == number
            curve = Curve.of(one, scores)
            both = ((curve.roc(), 1.0), (curve.precision_recall(), _WIDEST_PRECISION))
            for of_class, total, (area, widest) in zip(found, totals, both, strict=True):
                of_class[number] = _Area.of(curve, area, widest)
                total += curve.by_weight(one, *area[1:])
    roc, precision = (
        _together(classes, of_class, total / max(1, len(known)), max(count, min(counts[known], default=0)))
        for of_class, total, count in zip(found, totals, _counts(counts[known], images), strict=True)
    )
    return roc, precision


def _together(classes: int, found: dict[int, _Area], by_weight: Any, count: int) -> Areas:
    """The areas of all classes, from those that have one."""
    values: list[float | None] = [None] * classes
    intervals: list[list[float] | None] = [None] * classes
    for number, area in found.items():
        values[number], intervals[number] = area.value, list(area.interval())
    mean = _mean_interval(list(found.values()), float(np.sum(by_weight**2)), count) if found else None
    return Areas(values, by_weight, intervals, mean, int(count))


def _mean_interval(found: Sequence[_Area], variance: float, count: int) -> list[float]:
    """The interval of the mean of areas, which depend on each other as they are of the same images.

    A class of a few images may be in its place by chance, and then has no variance. So what the interval of each such
    class adds is added by squares and sums (Zou and Donner 2008, Construction of confidence limits about effect
    measures, Statistics in Medicine 27, 1693-1702).

    Args:
        found: The areas.
        variance: That of their mean by the jackknife.
        count: Of how many images it is where these leave no error.
    """
    number, mean = len(found), min(1.0, float(np.mean([area.value for area in found])))
    # Of many classes together it is known better how uncertain they are: each is drawn as if by one image.
    drawn = sum(area.value * (1 - area.value) / area.as_many(1) - area.variance for area in found) / number**2
    whole, spread = variance + max(0.0, drawn), mean * (1 - mean)
    low, high = interval(mean, spread / whole if min(spread, whole) > _NONE else count)
    below, above = (mean - low) ** 2, (high - mean) ** 2
    for area in found:
        if area.fewer < _FEW:
            ends = area.interval()
            below += ((area.value - ends[0]) / number) ** 2
            above += ((ends[1] - area.value) / number) ** 2
    return [max(0.0, mean - math.sqrt(below)), min(1.0, mean + math.sqrt(above))]


def _counts(counts: Any, images: int) -> tuple[int, int]:
    """Of how many images the intervals of both means are where all images are in their place.

    An image that is taken for another class is behind all others of its own, and before all of that one: it takes as
    much from the mean of the areas as is computed here. If such images are a share p of all, the means are at most p
    times this, times the number of images, below 1; and the probability that none of the images is one falls with p
    as if that many were looked at as are in its inverse.

    Args:
        counts: int64 (classes,), the images of each class that has an area.
        images: How many there are in all.
    """
    if not len(counts):
        return 0, 0
    of_own = 1 / counts.min()
    before = of_own + 1 / (images - counts.max())
    # One before all m of a class makes of their precisions 1/2, 2/3 ... m / (m + 1): it costs the mean of 1 / (t + 1).
    harmonic = np.cumsum(1 / np.arange(1, counts.max() + 2))
    above = of_own + ((harmonic[counts] - 1) / counts).max()
    return round(len(counts) / before), round(len(counts) / above)


_AT_ONCE = 64
"""Classes whose probabilities are copied at a time, so that those of a class lie together."""

_MORE = 4
"""As if by how many images the variance of a class is drawn towards the widest: measured, as are those below."""

_WIDEST_PRECISION = 2.0
"""Average precision is no mean of what does not depend on each other, so its variance may be larger than that."""

_FEW = 5
"""Of fewer images than that a class adds its own interval to that of the mean."""

_NONE = 1e-18
"""A variance that is rounding."""
