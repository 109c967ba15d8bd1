"""Ranking: how well probabilities put the images of a class before the others, whatever threshold one takes.

Areas are scikit-learn's. Their standard errors come from what each image adds: the derivative of the area by the
weight of the image, of which the infinitesimal jackknife (Jaeckel 1972) makes a standard error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from cnnkit.core.lazy import np
from cnnkit.evaluation.intervals import around_logit


@dataclass(frozen=True)
class Areas:
    """An area under a curve, of each class against all others.

    Attributes:
        of_class: The areas; None of a class that no image has, or that all have.
        by_weight: float64 (images,), the derivative of their mean by the weight of each image.
        of_class_intervals: Intervals of the areas.
        count: How many images it is of, as an interval without an error is wide.
    """

    of_class: list[float | None]
    by_weight: Any
    of_class_intervals: list[list[float] | None]
    count: int

    @classmethod
    def roc(cls, labels: Any, probabilities: Any) -> Self:
        """Areas under the ROC curves: how often an image of the class has the larger probability than another one."""
        from sklearn.metrics import roc_auc_score

        return cls._of(labels, probabilities, roc_auc_score, roc_by_weight)

    @classmethod
    def precision_recall(cls, labels: Any, probabilities: Any) -> Self:
        """Areas under the curves of precision by recall, as average precision: steps, no trapezoids."""
        from sklearn.metrics import average_precision_score

        return cls._of(labels, probabilities, average_precision_score, precision_by_weight)

    @classmethod
    def _of(cls, labels: Any, probabilities: Any, area: Any, by_weight: Any) -> Self:
        of_class: list[float | None] = []
        intervals: list[list[float] | None] = []
        total, fewest = np.zeros(len(labels)), len(labels)
        for number in range(probabilities.shape[1]):
            one, scores = labels == number, probabilities[:, number]
            count = int(min(one.sum(), (~one).sum()))
            if not count:
                of_class, intervals = [*of_class, None], [*intervals, None]
                continue
            value, changes = float(area(one, scores)), by_weight(one, scores)
            of_class.append(value)
            intervals.append(around_logit(value, _error(changes), count))
            total += changes
            fewest = min(fewest, count)
        known = sum(value is not None for value in of_class)
        return cls(of_class, total / max(1, known), intervals, fewest)

    @property
    def mean(self) -> float | None:
        """Their mean over the classes that have one; None where none has."""
        known = [value for value in self.of_class if value is not None]
        return float(np.mean(known)) if known else None

    @property
    def mean_interval(self) -> list[float] | None:
        """Its interval."""
        return None if self.mean is None else around_logit(self.mean, _error(self.by_weight), self.count)


def _error(by_weight: Any) -> float:
    return float(np.sqrt(np.sum(np.square(by_weight))))


def roc_by_weight(one: Any, scores: Any) -> Any:
    """The derivative of the area under the ROC curve by the weight of each image, float64 (images,).

    Args:
        one: bool (images,), whether an image is of the class.
        scores: float (images,), its probability of it.
    """
    positives, negatives = np.sort(scores[one]), np.sort(scores[~one])
    # The share of the others that an image beats, or of the class that beats it; a tie is half a win.
    before = np.searchsorted(negatives, scores, "left") + np.searchsorted(negatives, scores, "right")
    behind = np.searchsorted(positives, scores, "left") + np.searchsorted(positives, scores, "right")
    share = np.where(one, before / (2 * len(negatives)), 1 - behind / (2 * len(positives)))
    area = share[one].mean()
    return (share - area) / np.where(one, len(positives), len(negatives))


def precision_by_weight(one: Any, scores: Any) -> Any:
    """The derivative of average precision by the weight of each image, float64 (images,); arguments as above.

    With T images of the class and N in all at least as likely as image i, average precision is the mean of T / N over
    the images of the class. A weight changes the term of its own image, and the T and N of all that are less likely.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, positive = scores[order], one[order].astype(float)
    edges = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True])  # the last of each run of equal scores
    run = np.searchsorted(edges, np.arange(len(ranked)))
    first = np.r_[0, edges[:-1] + 1][run]
    precision = (np.cumsum(positive)[edges] / (edges + 1))[run]
    count = (edges + 1.0)[run]
    through = [np.cumsum((positive * part)[::-1])[::-1][first] for part in (1 / count, precision / count)]
    area = (positive * precision).sum() / positive.sum()
    changes = (positive * (precision - area) + positive * through[0] - through[1]) / positive.sum()
    found = np.empty(len(ranked))
    found[order] = changes
    return found
