"""Paired: two networks that have answered the same images, and whether they can be told apart.

Of images that both answer rightly, or both wrongly, nothing is learnt; of the others, which only one of them answers
rightly, each falls to either with probability 1/2 if both are equally good (McNemar 1947).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cnnkit.core.lazy import np
from cnnkit.evaluation.intervals import CONFIDENCE, interval

FEW = 25
"""With fewer images than these that only one of both answers rightly, the test is the exact one."""

SURE = 0.05
"""Below this p a difference is more than chance; else it may be chance, whatever the interval says."""

LEAST = 1e-300
"""A p that is smaller than this has no digits left, or is 0 in the computer's numbers, as it never is in truth."""

BORDER = "but p, which is computed in another way, decides"
"""What is said of an interval that leaves 0 out where the test finds no more than chance, as happens on the border."""


@dataclass(frozen=True)
class Paired:
    """How many images two networks answer rightly.

    Attributes:
        both: Images that both answer rightly.
        first: Those that only the first does.
        second: Those that only the second does.
        neither: Those that neither does.
    """

    both: int
    first: int
    second: int
    neither: int

    @classmethod
    def of(cls, first: Any, second: Any) -> Paired:
        """From whether each image is answered rightly, two arrays of booleans (images,)."""
        one, other = np.asarray(first, bool), np.asarray(second, bool)
        parts: tuple[Any, ...] = (one & other, one & ~other, ~one & other, ~(one | other))
        return cls(*(int(np.sum(part)) for part in parts))

    @property
    def images(self) -> int:
        """How many there are."""
        return self.both + self.first + self.second + self.neither

    @property
    def ahead(self) -> int:
        """By how many images the first is ahead."""
        return self.first - self.second

    @property
    def chance(self) -> float:
        """How far chance brings two equally good ones apart: the standard deviation of `ahead`, in images."""
        return math.sqrt(self.first + self.second)

    @property
    def difference(self) -> float:
        """The accuracy of the first less that of the second, in -1..1."""
        return self.ahead / self.images

    @property
    def exact(self) -> bool:
        """Whether `p` is that of the exact test."""
        return self.first + self.second < FEW

    @property
    def p(self) -> float:
        """How probable it is that chance brings two equally good ones at least as far apart: McNemar's test.

        The exact binomial test of the images that only one answers rightly where they are few, else chi-square with
        one degree of freedom and the correction for continuity (Edwards 1948).
        """
        from scipy.stats import binomtest, chi2

        differing = self.first + self.second
        if not differing:
            return 1.0
        if self.exact:
            return float(binomtest(self.first, differing, 0.5).pvalue)
        return float(chi2.sf(max(abs(self.ahead) - 1, 0) ** 2 / differing, 1))

    @property
    def difference_interval(self) -> tuple[float, float]:
        """The 95 % interval of `difference`, by squares and sums of Wilson's for both accuracies.

        Method 10 of Newcombe 1998, Improved confidence intervals for the difference between binomial proportions based
        on paired data, Statistics in Medicine 17, 2635-2650.
        """
        n, difference = self.images, self.difference
        one, other = (self.both + self.first) / n, (self.both + self.second) / n
        (low_1, high_1), (low_2, high_2) = interval(one, n), interval(other, n)
        phi = self._correlation()

        def root(a: float, b: float) -> float:
            return math.sqrt(max(a * a - 2 * phi * a * b + b * b, 0.0))

        below, above = root(one - low_1, high_2 - other), root(high_1 - one, other - low_2)
        return max(-1.0, difference - below), min(1.0, difference + above)

    def _correlation(self) -> float:
        """How far right answers of both go together, in -1..1, where it is positive with half an image less."""
        e, f, g, h = self.both, self.first, self.second, self.neither
        around = (e + f) * (g + h) * (e + g) * (f + h)
        product = e * h - f * g
        if product > 0:
            return max(product - self.images / 2, 0.0) / math.sqrt(around)
        return product / math.sqrt(around) if around else 0.0


def may_be_chance(p: float) -> bool:
    """Whether a difference may be chance, by the p of its test: the one place that decides it."""
    return p >= SURE


def on_the_border(p: float, ends: Sequence[float]) -> bool:
    """Whether a difference may be chance by its p, and its interval leaves 0 out all the same."""
    return may_be_chance(p) and not ends[0] <= 0 <= ends[1]


def doubt(p: float | None, ends: Sequence[float]) -> str:
    """What is to be said behind a difference with its interval that may be chance; nothing of another.

    Args:
        p: That of the test; None where the interval is that of a test (Student's t), or no p was kept.
        ends: The interval.
    """
    if p is None:
        return ", which may be chance" if ends[0] <= 0 <= ends[1] else ""
    if on_the_border(p, ends):
        return f", {BORDER}: {p_text(p)}, so it may be chance"
    return ", which may be chance" if may_be_chance(p) else ""


def p_text(p: float) -> str:
    """A p with two digits that count; of one too small for a number, that it is smaller than such."""
    if p < LEAST:
        return f"p < {LEAST:.0e}"
    return "p = " + ("1.00" if p > 0.995 else f"{p:.2f}" if p >= 0.1 else f"{p:.2g}" if p >= 0.0001 else f"{p:.0e}")


def mean_interval(differences: Any) -> list[float] | None:
    """The 95 % interval of the mean of what differs on each image, float (images,), by Student's t.

    None of one image, and where all differ alike: nothing tells how far others are from them.

    Student 1908, The probable error of a mean, Biometrika 6, 1-25.
    """
    from scipy.stats import t

    n = len(differences)
    if n < 2:
        return None
    mean, error = float(np.mean(differences)), float(np.std(differences, ddof=1)) / math.sqrt(n)
    if not error > 1e-12 * abs(mean):
        return None
    half = float(t.ppf((1 + CONFIDENCE) / 2, n - 1)) * error
    return [mean - half, mean + half]


def holm(values: Sequence[float]) -> list[float]:
    """The p of several tests, each as large as is right where any of them could be the one that seems to differ.

    Holm 1979, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 65-70.
    """
    adjusted, most = [0.0] * len(values), 0.0
    for done, i in enumerate(sorted(range(len(values)), key=lambda i: values[i])):
        most = max(most, min(1.0, (len(values) - done) * values[i]))
        adjusted[i] = most
    return adjusted
