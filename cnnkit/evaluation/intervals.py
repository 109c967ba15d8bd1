"""Intervals: in what range the true value of a figure lies, by how few images it was measured on.

Proportions have Wilson's. What is computed from the confusion matrix is resampled (the bootstrap of Efron 1979), and a
mean over classes never narrower than the few images that carry it allow. What depends on every probability has the
infinitesimal jackknife (Jaeckel 1972), to which the bootstrap comes with many resamples; areas are in ranking.py.

The standard error of a mean weighed by images is laid around its logit, where it is nearer to a normal distribution,
and no end leaves 0..1; that of a mean loss has its skewness taken off. `scripts/measure_intervals.py` counts how often
such intervals hold the truth.
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

_AT_ONCE = 4_000_000  # counts that are in memory at a time


def interval(share: float, count: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's interval for a proportion (Wilson 1927).

    It holds for few images and near 0 and 1, where the usual "plus or minus" does not.

    Args:
        share: What was found, in 0..1.
        count: Of how many that do not depend on each other; above 0, and not only a whole number.
        confidence: How often such an interval holds the true proportion; between 0 and 1.

    Raises:
        ValueError: It is of nothing; `wilson` has None for that.
    """
    if count <= 0:
        raise ValueError(f"a proportion of {count} images has no interval")
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


def of_mean(values: Any, most: float = math.inf) -> list[float] | None:
    """The interval of the mean of what is 0 or more, float (images,), such as a loss.

    None of fewer than two images, and of such as are all alike: nothing tells how far others are from them, and an
    interval without width would claim certainty.

    A few mistakes make most of the loss of a sure network, so its mean is distributed skewly: what Student's t leaves
    of that is taken off by a cubic transformation that can be turned round (Hall 1992, On the removal of skewness by
    transformation, Journal of the Royal Statistical Society B 54, 221-228). The result is held against Student's t,
    which of few images is farther from 0 than the normal distribution.

    Args:
        values: Them.
        most: What none of them can be above.
    """
    from scipy.special import stdtrit

    values, count = np.asarray(values, np.float64), len(values)
    if count < 2:
        return None
    mean, deviation = float(values.mean()), float(values.std())
    if not deviation > 1e-12 * abs(mean):
        return None
    skewness = float(np.mean(((values - mean) / deviation) ** 3)) / math.sqrt(count)
    t = float(stdtrit(count - 1, (1 + CONFIDENCE) / 2))

    def untransformed(y: float) -> float:
        if abs(skewness) < 1e-6:
            return y
        return 3 / skewness * (float(np.cbrt(1 + skewness * (y - skewness / 6))) - 1)

    error = deviation / math.sqrt(count - 1)
    return [max(0.0, mean - error * untransformed(t)), min(most, mean - error * untransformed(-t))]


def of_losses(losses: Any, right: Any, least: Any, second: Any, doubts: Any, most: float) -> list[float] | None:
    """The interval of a mean loss.

    Of few images there may be no mistake among them by chance, and so none of what makes most of a loss; or no right
    answer. So the upper end is never below what the loss comes to with as many mistakes more as Wilson's interval of
    their share allows, the lower end never above that with as many fewer.

    None of fewer than two images, and where all losses are alike and would be whichever class is the right one, as
    where every class is given the same.

    Args:
        losses: What each image adds, float (images,), 0 or more.
        right: Which of them are answered rightly, bool (images,).
        least: What each would add if the likeliest class were the right one.
        second: The same of the second likeliest class.
        doubts: How likely the network has it that it is wrong, in 0..1: by these is weighed what mistakes cost.
        most: What no loss can be above.
    """
    if len(losses) < 2:
        return None
    mean, wrong = float(np.mean(losses)), 1 - float(np.mean(right))
    low, high = of_mean(losses, most) or (mean, mean)
    fewest, many = interval(wrong, len(losses))
    costs = second - least
    cost = float(np.average(costs, weights=doubts) if np.sum(doubts) > 0 else np.mean(costs))
    saved = float(np.mean((losses - least)[~right])) if wrong else 0.0
    low, high = min(low, mean - (wrong - fewest) * saved), max(high, min(most, mean + (many - wrong) * cost))
    return [max(0.0, low), high] if high - low > 1e-12 * abs(mean) else None


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


def _as_one(shares: Any, parts: Any) -> tuple[float, float]:
    """How far the mean of shares reaches down and up, as that of one proportion by Jeffreys' interval.

    Its number of images and its scale are those with which it has the variance and, near 0 and 1, the skewness of the
    mean, if each share were alike: of one share that is carried by few images these are its own, and of shares that
    are carried by equally many those of all images.

    Args:
        shares: float (classes,), in 0..1.
        parts: What one image is of the share of its class, float (classes,): 1 / images.
    """
    squares = np.square(parts).sum()
    share, scale = float(np.average(shares, weights=parts)), float(parts.sum() ** 2 / squares) / len(parts)
    low, high = jeffreys(np.array(share), np.array(float(parts.sum() ** 3 / squares**2)))
    return scale * (share - float(low)), scale * (float(high) - share)


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
        """Of each resample: the mean of a figure of the classes, each weighed by its images.

        Args:
            figures: Such as `recall`, float64 (resamples, classes).

        Returns:
            float64 (resamples,).
        """
        return (figures * self.counts[1]).sum(1) / self.counts[1].sum(1)

    def macro_interval(self, figure: str) -> list[float]:
        """The interval of the mean over the classes that have images.

        A class that is all right, as one of few images is by chance, has no error in any resample. So each end is the
        farther one of two: that of the resamples, and that of one proportion (`_as_one`).

        Args:
            figure: `precision`, `recall` or `f1`.
        """
        right, true, taken = np.diag(self.confusion), self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        images, there = np.maximum({"precision": taken, "recall": true, "f1": (true + taken) / 2}[figure], 1), true > 0
        values, parts = right / images, 1 / images
        if figure == "f1" and np.count_nonzero(true + taken) > 1:
            # A mistake counts for two classes: half in its own, and half in the other, whose size is that of the mean.
            others = (true + taken).sum() - (true + taken)
            parts = 1 / np.maximum(true + taken, 1) + (np.count_nonzero(true + taken) - 1) / others
        # A class of which a resample has no image tells nothing there, and not that it is never right.
        absent = self.counts[2 if figure == "precision" else 1] == 0
        resampled = np.where(absent, values, getattr(self, figure))[:, there].mean(axis=1)
        value, half = float(values[there].mean()), NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * float(resampled.std())
        # Around the figure an end is too far on the side of 1, around its logit on the other; what is left of the
        # skewness is in the proportion.
        nearest = self.interval(value, resampled, int(true.sum())) or (0.0, 1.0)
        drawn = min(half, value - nearest[0]), min(half, nearest[1] - value)
        below, above = map(max, drawn, _as_one(values[there], parts[there]))
        low, high = max(0.0, value - below), min(1.0, value + above)
        if not 0 < value < 1:  # as that of accuracy
            ends = interval(value, int(true.sum()))
            return [min(low, ends[0]), max(high, ends[1])]
        return [low, high]

    def interval(self, value: float, resampled: Any, count: int) -> list[float] | None:
        """The interval of a figure.

        Args:
            value: It.
            resampled: It of each resample, float (resamples,).
            count: Of how many images it is.
        """
        return around_logit(value, float(np.std(resampled)), count) if count else None
