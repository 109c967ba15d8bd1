"""Confident learning: which labels are probably wrong, by what networks say that were not shown them.

Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", 2021, arXiv:1911.00068.
"""

from __future__ import annotations

from typing import Any

from cnnkit.core.lazy import np

NONE = -1
"""In the place of a class: there is none that is confident."""


def thresholds(labels: Any, probabilities: Any) -> Any:
    """Of each class how probable it is in the mean where it is the label (equation 2 of the paper).

    Args:
        labels: int64 (n,), as given.
        probabilities: float64 (n, K), out of sample.

    Returns:
        float64 (K,); infinite for a class that is nowhere the label.
    """
    classes = probabilities.shape[1]
    counts = np.bincount(labels, minlength=classes)
    sums = np.bincount(labels, probabilities[np.arange(len(labels)), labels], minlength=classes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)


def confident(labels: Any, probabilities: Any) -> Any:
    """The class that each image is confidently counted to (equation 1): the likeliest of those at their thresholds.

    Args:
        labels: int64 (n,), as given, in 0..K-1.
        probabilities: float64 (n, K), out of sample.

    Returns:
        int64 (n,), `NONE` where no class reaches its threshold.
    """
    reached = probabilities >= thresholds(labels, probabilities)
    likeliest = np.where(reached, probabilities, -1.0).argmax(axis=1)
    return np.where(reached.any(axis=1), likeliest, NONE)


def joint(labels: Any, probabilities: Any) -> Any:
    """An estimate of how labels and true classes go together (equation 3).

    Args:
        labels: int64 (n,), as given, in 0..K-1.
        probabilities: float64 (n, K), out of sample; one image or more.

    Returns:
        float64 (K, K), given labels in rows, true classes in columns; its sum is 1. What is off the diagonal is the
        share of the labels that is wrong.
    """
    classes, found = probabilities.shape[1], confident(labels, probabilities)
    counts = np.zeros((classes, classes))
    np.add.at(counts, (labels[found != NONE], found[found != NONE]), 1)
    empty = counts.sum(axis=1) == 0
    counts[empty, empty] = 1.0  # nothing speaks against these labels
    rows = counts / counts.sum(axis=1, keepdims=True) * np.bincount(labels, minlength=classes)[:, None]
    return rows / rows.sum()


def quality(labels: Any, probabilities: Any) -> Any:
    """How right each label looks: the normalised margin, brought from -1..1 to 0..1.

    The margin is the probability of the label less that of the likeliest other class.

    Args:
        labels: int64 (n,), as given, in 0..K-1.
        probabilities: float64 (n, K), out of sample; two classes or more.

    Returns:
        float64 (n,), in 0..1; below 0.5 another class is likelier than the label.
    """
    places = np.arange(len(labels))
    others = probabilities.copy()
    others[places, labels] = -1.0
    return (probabilities[places, labels] - others.max(axis=1) + 1) / 2


def ranked(labels: Any, probabilities: Any) -> tuple[Any, int]:
    """All images, that with the most suspicious label first, and how many of them are suspects.

    Suspects are those that are confidently counted to another class than their label says (the off-diagonals of the
    confident joint) and whose likeliest class is another one too: the thresholds of rare classes are so low that an
    image may be counted to one while its label is the likeliest by far. They come before all others, and each part goes
    by the normalised margin.

    Args:
        labels: int64 (n,), as given, in 0..K-1.
        probabilities: float64 (n, K), out of sample; two classes or more.

    Returns:
        int64 (n,), the numbers of the images; and how many of these, from the first on, are suspects.
    """
    found = confident(labels, probabilities)
    suspect = (found != NONE) & (found != labels) & (probabilities.argmax(axis=1) != labels)
    return np.lexsort((quality(labels, probabilities), ~suspect)), int(suspect.sum())
