"""Intervals: in what range the true value of a figure lies, by how few images it was measured on.

Proportions have Wilson's. What is computed from the confusion matrix is resampled (the bootstrap of Efron 1979). What
depends on every probability has the infinitesimal jackknife (Jaeckel 1972), to which the bootstrap comes with many
resamples; that of areas is in ranking.py.

The standard error found so is laid around the logit of a figure in 0..1, where the figure is nearer to a normal
distribution and no end leaves 0..1; that of a mean loss has its skewness taken off. `scripts/measure_intervals.py`
counts how often such intervals hold the truth.
"""

from __future__ import annotations

import math
from functools import cached_property
from statistics import NormalDist
from typing import Any

from cnnkit.core.lazy import np

CONFIDENCE = 0.95
"""How often an interval holds the true value."""

RESAMPLES, SEED = 2000, 0
"""How often images are drawn anew, and from where on, so that the same answers have the same interval."""

FEW = 15
"""Of fewer images than that a class adds an interval of its own to that of a mean over classes; measured."""

_AT_ONCE = 4_000_000  # counts that are in memory at a time


def interval(share: float, count: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's interval for a proportion (Wilson 1927).

    It holds for few images and near 0 and 1, where the usual "plus or minus" does not.

    Args:
        share: What was found, in 0..1.
        count: Of how many that do not depend on each other.
        confidence: How often such an interval holds the true proportion.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    scale = 1 + z * z / count
    middle = (share + z * z / (2 * count)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    # At 0 and 1 an end is the share itself; rounding must not put it beyond.
    return min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half))


def wilson(share: float, count: int) -> list[float] | None:
    """The same as JSON has it, [low, high]; None of no images."""
    return list(interval(share, count)) if count else None


def jeffreys(shares: Any, counts: Any) -> tuple[Any, Any]:
    """The ends of Jeffreys' intervals for proportions, float arrays: of one or two images they hold more than Wilson's.

    Brown, Cai and DasGupta 2001, Interval estimation for a binomial proportion, Statistical Science 16, 101-133.

    Args:
        shares: What was found, in 0..1.
        counts: Of how many, 0.5 or more, not only whole numbers.
    """
    from scipy.special import betaincinv

    right, wrong, doubt = shares * counts + 0.5, (1 - shares) * counts + 0.5, (1 - CONFIDENCE) / 2
    low = np.where(shares > 0, betaincinv(right, wrong, doubt), 0.0)
    return low, np.where(shares < 1, betaincinv(right, wrong, 1 - doubt), 1.0)


def around_logit(value: float, error: float, count: int) -> list[float] | None:
    """The interval of a figure in 0..1 with a standard error, symmetric around its logit.

    Args:
        value: The figure.
        error: Its standard error.
        count: Of how many images it is. Where these leave no error, as where all are answered rightly, an interval
            without width would claim certainty: it is Wilson's for as many then.
    """
    if not 0 < value < 1 or error < 1e-12:
        return wilson(min(1.0, max(0.0, value)), count)
    half = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * error / (value * (1 - value))
    middle = math.log(value / (1 - value))
    return [1 / (1 + math.exp(-max(-700.0, min(700.0, middle + sign * half)))) for sign in (-1, 1)]


def of_mean(values: Any) -> list[float] | None:
    """The interval of the mean of what is 0 or more, float (images,), such as a loss; None of fewer than two images.

    A few mistakes make most of the loss of a sure network, so its mean is distributed skewly: what Student's t leaves
    of that is taken off by a cubic transformation that can be turned round (Hall 1992, On the removal of skewness by
    transformation, Journal of the Royal Statistical Society B 54, 221-228).
    """
    values, count = np.asarray(values, np.float64), len(values)
    if count < 2:
        return None
    mean, deviation = float(values.mean()), float(values.std())
    if not deviation > 1e-12 * abs(mean):
        return [mean, mean]
    skewness = float(np.mean(((values - mean) / deviation) ** 3)) / math.sqrt(count)
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)

    def untransformed(y: float) -> float:
        if abs(skewness) < 1e-6:
            return y
        return 3 / skewness * (float(np.cbrt(1 + skewness * (y - skewness / 6))) - 1)

    error = deviation / math.sqrt(count - 1)
    return [max(0.0, mean - error * untransformed(z)), mean - error * untransformed(-z)]


def of_f1(confusion: Any) -> list[Any]:
    """The interval of the F1 of each class, None without images of it or taken for it.

    Wilson's of the share j of right answers among the images that are of a class or taken for it, as 2 j / (1 + j).
    That is F1 (Hand, Christen and Kirielle 2021, F*: an interpretable transformation of the F-measure, Machine
    Learning 110, 451-456), and j is a proportion.

    Args:
        confusion: int (classes, classes), how many images of a class (the row) were taken for which.
    """
    right = np.diag(confusion)
    either = confusion.sum(axis=0) + confusion.sum(axis=1) - right
    found = [
        wilson(float(share), int(count)) for share, count in zip(right / np.maximum(either, 1), either, strict=True)
    ]
    return [ends and [2 * end / (1 + end) for end in ends] for ends in found]


class Bootstrap:
    """Standard errors of figures of a confusion matrix, by resampling the images.

    Drawing images anew with replacement draws how many fall into each cell of the matrix, from a multinomial
    distribution; that is the same and takes a fraction of the time.

    Args:
        confusion: int (classes, classes), rows what the images are.
        resamples: How often they are drawn anew.
    """

    def __init__(self, confusion: Any, resamples: int = RESAMPLES):
        self.confusion = np.asarray(confusion)
        self.resamples = resamples

    @cached_property
    def counts(self) -> tuple[Any, Any, Any]:
        """How many images of each class are right, are of it, and are taken for it; float64 (resamples, classes)."""
        from scipy.sparse import csr_array

        rows, columns = np.nonzero(self.confusion)
        cells, classes = self.confusion[rows, columns], len(self.confusion)
        random, images = np.random.default_rng(SEED), int(cells.sum())
        places, ones = np.arange(len(cells)), np.ones(len(cells))
        true = csr_array((ones, (places, rows)), (len(cells), classes))
        taken = csr_array((ones, (places, columns)), (len(cells), classes))
        right = csr_array(((rows == columns).astype(float), (places, rows)), (len(cells), classes))
        parts, left = [], self.resamples
        while left:
            size = min(left, max(1, _AT_ONCE // len(cells)))
            drawn = random.multinomial(images, cells / images, size).astype(float)
            parts.append((drawn @ right, drawn @ true, drawn @ taken))
            left -= size
        of_right, of_true, of_taken = (np.concatenate(part) for part in zip(*parts, strict=True))
        return of_right, of_true, of_taken

    @cached_property
    def precision(self) -> Any:
        """Of each resample and class, (resamples, classes); 0 of one that is never predicted."""
        right, _, taken = self.counts
        return right / np.maximum(taken, 1)

    @cached_property
    def recall(self) -> Any:
        """Of each resample and class; 0 of one that has no images."""
        right, true, _ = self.counts
        return right / np.maximum(true, 1)

    @cached_property
    def f1(self) -> Any:
        """Of each resample and class; 0 where it is neither there nor predicted."""
        right, true, taken = self.counts
        return 2 * right / np.maximum(true + taken, 1)

    def weighted(self, figures: Any) -> Any:
        """Of each resample: the mean of a figure of the classes, each weighed by its images."""
        return (figures * self.counts[1]).sum(1) / self.counts[1].sum(1)

    def macro_interval(self, figure: str) -> list[float] | None:
        """The interval of the mean over the classes that have images.

        A class of few images may be right by chance, and then has no error of its own in any resample. So what these
        add, by Jeffreys' intervals, is added to the error of the others by squares and sums (Zou and Donner 2008,
        Construction of confidence limits about effect measures, Statistics in Medicine 27, 1693-1702): that of each of
        them, or of all together as one proportion of as many images as are as uncertain, whichever is more. The first
        is too little where there are many of them, and the second where the smallest are the worst.

        Args:
            figure: `precision`, `recall` or `f1`.
        """
        right, true, taken = np.diag(self.confusion), self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        counts = np.maximum({"precision": taken, "recall": true, "f1": (true + taken) / 2}[figure], 1)
        values, there = right / counts, true > 0
        few, many = there & (counts < FEW), there & (counts >= FEW)
        squares = np.zeros(2)
        if many.any():
            resampled, value = getattr(self, figure)[:, many].mean(axis=1), float(values[many].mean())
            low, high = self.interval(value, resampled, round(counts[many].sum())) or (0.0, 1.0)
            squares += np.square([(value - low) * many.sum(), (high - value) * many.sum()])
        if few.any():
            each, all_of_them = jeffreys(values[few], counts[few]), values[few].mean()
            alone = [np.square(ends - values[few]).sum() for ends in each]
            ends = jeffreys(all_of_them, few.sum() ** 2 / np.sum(1 / counts[few]))
            squares += np.maximum(alone, np.square((np.array(ends) - all_of_them) * few.sum()))
        mean, (below, above) = float(values[there].mean()), np.sqrt(squares) / there.sum()
        return [max(0.0, mean - float(below)), min(1.0, mean + float(above))]

    def interval(self, value: float, resampled: Any, count: int) -> list[float] | None:
        """The interval of a figure.

        Args:
            value: It.
            resampled: It of each resample, float (resamples,).
            count: Of how many images it is.
        """
        return around_logit(value, float(np.std(resampled)), count) if count else None
