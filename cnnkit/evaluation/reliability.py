"""Reliability: whether a network is right as often as it says."""

from __future__ import annotations

from typing import Any

from cnnkit.core.lazy import np
from cnnkit.evaluation.answers import Answers
from cnnkit.evaluation.intervals import CONFIDENCE, RESAMPLES, SEED

BINS = 15
"""Into how many of the same width the probabilities are put (Guo et al. 2017)."""


def reliability(answers: Answers) -> dict[str, Any]:
    """Expected calibration error and the bins of a reliability diagram (Guo et al. 2017, arXiv:1706.04599).

    A bin holds the images whose likeliest class has a probability above `low` and up to `high`: how many `images`,
    their mean probability `confidence` and the share of right ones `accuracy`, both None of an empty bin. The error is
    the mean distance of the two, by images.
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
    return {"ece": error, "ece_interval": _interval(error, confidence - right, numbers), "bins": bins}


def _interval(error: float, gaps: Any, numbers: Any) -> list[float]:
    """The basic bootstrap interval of the error.

    Chance alone parts probability and accuracy of a bin, and a resample adds chance to chance: resampled errors are too
    large, and as much is taken off again.

    Args:
        error: The error.
        gaps: float (images,), probability of the likeliest class, less 1 where it is right.
        numbers: int (images,), the bin of each image.
    """
    cells = numbers * 2 + (gaps < 0)
    counts, sums = np.bincount(cells, minlength=2 * BINS), np.bincount(cells, gaps, 2 * BINS)
    means = sums / np.maximum(counts, 1)
    drawn = np.random.default_rng(SEED).multinomial(len(gaps), counts / len(gaps), RESAMPLES)
    resampled = np.abs((drawn * means).reshape(-1, BINS, 2).sum(2)).sum(1) / len(gaps)
    low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return [min(error, max(0.0, 2 * error - float(high))), max(error, min(1.0, 2 * error - float(low)))]
