"""Ranking: how well probabilities put the images of a class before the others, whatever threshold one takes.

Areas are those of scikit-learn, for a thousand classes at once. Their standard errors come from what each image adds:
the derivative of the area by the weight of the image, of which the infinitesimal jackknife (Jaeckel 1972) makes a
standard error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cnnkit.core.lazy import np
from cnnkit.evaluation.intervals import around_logit


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
        count: Of how many images the interval of the mean is where they leave no error.
    """

    of_class: list[float | None]
    by_weight: Any
    of_class_intervals: list[list[float] | None]
    count: int

    @property
    def mean(self) -> float | None:
        """Their mean over the classes that have one; None where none has."""
        known = [value for value in self.of_class if value is not None]
        return float(np.mean(known)) if known else None

    @property
    def mean_interval(self) -> list[float] | None:
        """Its interval."""
        return None if self.mean is None else around_logit(self.mean, _error(self.by_weight), self.count)


def areas(labels: Any, probabilities: Any) -> tuple[Areas, Areas]:
    """Areas under the ROC curves, and under those of precision by recall.

    Args:
        labels: int64 (images,).
        probabilities: float64 (images, classes).
    """
    images, classes = probabilities.shape
    counts = np.bincount(labels, minlength=classes)
    found: list[tuple[list[Any], Any, list[Any]]] = [
        ([None] * classes, np.zeros(images), [None] * classes) for _ in range(2)
    ]
    known = np.flatnonzero((counts > 0) & (counts < images))
    for first in range(0, len(known), _AT_ONCE):
        some = known[first : first + _AT_ONCE]
        for number, scores in zip(some.tolist(), np.ascontiguousarray(probabilities[:, some].T), strict=True):
            one = labels == number
            curve, fewer = Curve.of(one, scores), int(min(counts[number], images - counts[number]))
            for (values, total, intervals), (area, of_class, others) in zip(
                found, (curve.roc(), curve.precision_recall()), strict=True
            ):
                squares = curve.positives * of_class**2 + curve.negatives * others**2
                values[number] = area
                # Where none is out of its place, images of the class may be, with a probability p; that none of so
                # many is then has a probability of (1 - p) to the power of that.
                intervals[number] = around_logit(area, float(np.sqrt(squares.sum())), fewer)
                total += curve.by_weight(one, of_class, others)
    at_least = int(counts[known].min()) if len(known) else 0
    roc, precision = (
        Areas(values, total / max(1, len(known)), intervals, max(at_least, count))
        for (values, total, intervals), count in zip(found, _counts(counts[known], images), strict=True)
    )
    return roc, precision


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


def _error(by_weight: Any) -> float:
    return float(np.sqrt(np.sum(np.square(by_weight))))


_AT_ONCE = 64
"""Classes whose probabilities are copied at a time, so that those of a class lie together."""
