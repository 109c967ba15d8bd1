"""Reliability: whether a network is right as often as it says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnkit.core.lazy import np
from cnnkit.evaluation.answers import Answers
from cnnkit.evaluation.intervals import CONFIDENCE, SEED

BINS = 15
"""Into how many of the same width the probabilities are put (Guo et al. 2017)."""


def reliability(answers: Answers) -> dict[str, Any]:
    """Expected calibration error and the bins of a reliability diagram (Guo et al. 2017, arXiv:1706.04599).

    A bin holds the images whose likeliest class has a probability above `low` and up to `high`: how many `images`,
    their mean probability `confidence` and the share of right ones `accuracy`, both None of an empty bin. The error is
    the mean distance of the two, by images; `ece_by_chance` is what it would be in the mean of as many images of a
    network that is as sure, and calibrated perfectly.
    """
    edges = np.linspace(0, 1, BINS + 1)
    confidence = answers.probabilities.max(axis=1)
    right = answers.predicted == answers.labels
    numbers = np.clip(np.searchsorted(edges, confidence, "left") - 1, 0, BINS - 1)
    images = np.bincount(numbers, minlength=BINS)
    confident = np.bincount(numbers, confidence, BINS)
    rights = np.bincount(numbers, right, BINS)
    bins = [
        {
            "low": float(edges[i]),
            "high": float(edges[i + 1]),
            "images": int(count),
            "confidence": float(confident[i] / count) if count else None,
            "accuracy": float(rights[i] / count) if count else None,
        }
        for i, count in enumerate(images)
    ]
    error = float(np.abs(confident - rights).sum() / len(right))
    squares = np.bincount(numbers, confidence**2, BINS)
    chance, ends = _chance_and_interval(error, images, confident, squares, rights)
    return {"ece": error, "ece_interval": ends, "ece_by_chance": chance, "bins": bins}


def _chance_and_interval(
    error: float, images: Any, confident: Any, squares: Any, rights: Any
) -> tuple[float, list[float]]:
    """The error that chance alone makes in the mean, and the interval of the error.

    Chance parts probability and accuracy of a bin, so measured errors are too large, and the fewer the images, the
    more: that of a network without any is far above 0. The interval holds the true errors with which what was measured
    is no surprise: the accuracy of each bin is moved from its mean probability along what was measured, not at all
    (where the network is calibrated) to further than that, and images with their probabilities and answers are drawn
    anew. An end is where of such draws only so many are still as large, or as small, as the error: a test that is
    inverted (Neyman 1937), with draws like those of Brocker and Smith 2007, Increasing the reliability of reliability
    diagrams, Weather and Forecasting 22, 651-661. `scripts/measure_intervals.py` counts how often it holds the truth.

    Args:
        error: What was measured.
        images: int (bins,), how many images there are.
        confident: float (bins,), the sum of their largest probabilities.
        squares: float (bins,), the sum of the squares of these.
        rights: float (bins,), how many are answered rightly.
    """
    there, total = images > 0, int(images.sum())
    images, confident, squares, rights = (of_bins[there] for of_bins in (images, confident, squares, rights))
    means, doubt = confident / images, (1 - CONFIDENCE) / 2
    # Where hardly an answer is wrong, few images say little of how often one is: two right and two wrong ones more, as
    # in the interval of Agresti and Coull 1998, spread over the bins.
    found_right = (rights / images * total + 2) / (total + 4)
    spread = np.sqrt(np.maximum(squares / images - means**2, 0))
    random = np.random.default_rng(SEED)
    counts = random.multinomial(total, images / total, _DRAWS)
    sums = counts * means + np.sqrt(counts) * spread * random.standard_normal(counts.shape)

    def accuracies(moved: float) -> Any:
        return np.clip(means + moved * (found_right - means), 0, 1)

    def drawn(moved: float) -> Any:
        found = np.random.default_rng(SEED + 1).binomial(counts, accuracies(moved))
        return np.abs(sums - found).sum(1) / total

    def true(moved: float) -> float:
        return float((images * np.abs(means - accuracies(moved))).sum() / total)

    def too_small(moved: float) -> bool:
        return bool(np.mean(drawn(moved) >= error - _ROUNDING) <= doubt)

    def not_too_large(moved: float) -> bool:
        return bool(np.mean(drawn(moved) <= error + _ROUNDING) > doubt)

    chance = float(np.mean(drawn(0.0)))
    low = true(_last(too_small, 0.0, 1.0)) if too_small(0.0) else 0.0
    high = true(_last(not_too_large, 0.0, _FURTHEST)) if not_too_large(0.0) else 0.0
    if not_too_large(_FURTHEST):
        # Accuracies are 0 or 1 there, and can't be moved further; what is left is the chance of the probabilities.
        high = true(_FURTHEST) + error - float(np.quantile(drawn(_FURTHEST), doubt))
    return chance, [min(error, low), min(1.0, max(error, high))]


def _last(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Up to where something holds that holds at the lower end."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


_DRAWS = 1000
"""How often images are drawn anew, for each accuracy that is tried."""

_ROUNDING = 1e-12

_FURTHEST = 6.0
"""How far accuracies are moved at the most, by what was measured."""

_HALVINGS = 10
"""Steps in which an end is looked for."""
