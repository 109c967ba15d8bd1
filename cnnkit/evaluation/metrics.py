"""Metrics: what the answers of a network are worth, with error bars.

A metric is a row of METRICS: its name in the result of `evaluate`, how it comes from the answers, and how it is said
in a line. One of each class is a row of CLASS_METRICS, and so a column of their table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from cnnkit.core.lazy import np
from cnnkit.core.text import counted
from cnnkit.evaluation.answers import Answers


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
    EvaluationMetric("classes", lambda answers: table(answers)),
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


def table(answers: Answers) -> list[dict[str, Any]]:
    """The metrics of each class."""
    columns = {metric.name: metric.of(answers) for metric in CLASS_METRICS}
    return [
        {"name": name, "images": int(answers.by_class["images"][i])}
        | {metric: float(column[i]) for metric, column in columns.items()}
        for i, name in enumerate(answers.classes)
    ]


def line(result: dict[str, Any]) -> str:
    """The result of `evaluate` in a line."""
    texts = [metric.text for metric in METRICS if metric.text]
    texts = ["{split}: " + texts[0], *texts[1:], "loss {loss:.4f}", counted(result["images"], "image")]
    return ", ".join(texts).format_map(result | {"split": called(result)})


def called(result: Mapping[str, Any]) -> str:
    """What a result is of: the name of a split, or where other images are from."""
    return str(result["split"] or result["source"]["path"])


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
