"""Metrics: what the answers of a network are worth, with error bars.

A metric is a row of METRICS: its name in the result of `evaluate`, how it comes from the answers, and how it is said
in a line. One of each class is a row of CLASS_METRICS, and so a column of their table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Any

from cnnkit.core.lazy import np
from cnnkit.core.text import counted


@dataclass(frozen=True)
class Answers:
    """What a network says of images, beside what they are.

    Attributes:
        labels: int64 (images,), the right classes.
        probabilities: float (images, classes).
        classes: Names of the classes.
    """

    labels: Any
    probabilities: Any
    classes: Sequence[str]

    @cached_property
    def predicted(self) -> Any:
        """The likeliest class of each image, int64 (images,)."""
        return self.probabilities.argmax(axis=1)

    @cached_property
    def accuracy(self) -> float:
        """The share of the images that is answered rightly."""
        return int(np.sum(self.labels == self.predicted)) / len(self.labels)

    @cached_property
    def by_class(self) -> dict[str, Any]:
        """Precision, recall, F1 and images of each class; the precision of one that is never predicted is 0."""
        from sklearn.metrics import precision_recall_fscore_support

        columns = precision_recall_fscore_support(
            self.labels, self.predicted, labels=np.arange(len(self.classes)), average=None, zero_division=0.0
        )
        return dict(zip(("precision", "recall", "f1", "images"), columns, strict=True))

    def confusion(self) -> Any:
        """How many images of each class (rows) are taken for each class (columns), as lists."""
        from sklearn.metrics import confusion_matrix

        return confusion_matrix(self.labels, self.predicted, labels=np.arange(len(self.classes))).tolist()

    def majority_class(self) -> dict[str, Any]:
        """The class that most images have, and the accuracy of always saying it."""
        counts = np.bincount(self.labels, minlength=len(self.classes))
        largest = int(counts.argmax())
        return {"name": self.classes[largest], "accuracy": int(counts[largest]) / len(self.labels)}

    def never_predicted(self) -> list[str]:
        """The classes that some of the images have and none is taken for."""
        predicted = set(self.predicted.tolist())
        return [self.classes[label] for label in np.unique(self.labels).tolist() if label not in predicted]

    def table(self) -> list[dict[str, Any]]:
        """The metrics of each class."""
        columns = {metric.name: metric.of(self) for metric in CLASS_METRICS}
        return [
            {"name": name, "images": int(self.by_class["images"][i])}
            | {metric: float(column[i]) for metric, column in columns.items()}
            for i, name in enumerate(self.classes)
        ]


@dataclass(frozen=True)
class EvaluationMetric:
    """A figure that says how good answers are.

    Attributes:
        name: What it is called in the result of `evaluate`.
        of: From the answers to its value, or for a metric of each class to their values.
        text: How it is said in the line of the result, with the names of metrics in braces; of a metric of each class
            the head of its column. One without a text is not in that line.
    """

    name: str
    of: Callable[[Answers], Any]
    text: str = ""


METRICS = (
    EvaluationMetric(
        "accuracy",
        lambda answers: answers.accuracy,
        "accuracy {accuracy:.4f} (95 % interval {accuracy_interval[0]:.4f} to {accuracy_interval[1]:.4f})",
    ),
    EvaluationMetric("accuracy_interval", lambda answers: list(interval(answers.accuracy, len(answers.labels)))),
    EvaluationMetric("macro_f1", lambda answers: float(np.mean(answers.by_class["f1"])), "macro F1 {macro_f1:.4f}"),
    EvaluationMetric("majority_class", Answers.majority_class),
    EvaluationMetric("never_predicted", Answers.never_predicted),
    EvaluationMetric("classes", Answers.table),
    EvaluationMetric("confusion", Answers.confusion),
)
"""What `evaluate` computes of all images, in the order of its result."""

CLASS_METRICS = (
    EvaluationMetric("precision", lambda answers: answers.by_class["precision"], "precision"),
    EvaluationMetric("recall", lambda answers: answers.by_class["recall"], "recall"),
    EvaluationMetric("f1", lambda answers: answers.by_class["f1"], "F1"),
)
"""What it computes of each class, beside the number of its images."""


def computed(answers: Answers) -> dict[str, Any]:
    """All metrics by their names."""
    return {metric.name: metric.of(answers) for metric in METRICS}


def line(result: dict[str, Any]) -> str:
    """The result of `evaluate` in a line."""
    texts = [metric.text for metric in METRICS if metric.text]
    texts = ["{split}: " + texts[0], *texts[1:], "loss {loss:.4f}", counted(result["images"], "image")]
    return ", ".join(texts).format_map(result)


def interval(share: float, count: int, confidence: float = 0.95) -> tuple[float, float]:
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
