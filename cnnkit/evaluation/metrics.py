"""Metrics: what the answers of a network are worth, with error bars.

A metric is a row of METRICS: its name in the result of `evaluate`, how it comes from the answers, its interval, and how
it is said in a line. One of each class is a row of CLASS_METRICS, and so a column of their table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cnnkit.core.lazy import np
from cnnkit.core.text import counted
from cnnkit.evaluation.answers import Answers
from cnnkit.evaluation.intervals import of_f1, wilson
from cnnkit.evaluation.reliability import reliability

TOP = 5
"""Among how many of the likeliest classes the right one is looked for, where there are more classes than that."""


@dataclass(frozen=True)
class EvaluationMetric:
    """A figure that says how good answers are.

    Attributes:
        name: What it is called in the result of `evaluate`.
        of: From the answers to its value, or for a metric of each class to their values.
        text: How it is said in the line of the result, with the names of metrics in braces; of a metric of each class
            the head of its column. One without a text is not in that line.
        interval: From the answers to its interval at 95 %, or their intervals; it is called NAME_interval.
        said: What it is called among the lines of figures; one without a name there is in none.
    """

    name: str
    of: Callable[[Answers], Any]
    text: str = ""
    interval: Callable[[Answers], Any] | None = None
    said: str = ""


def _there(answers: Answers) -> Any:
    """Which classes have images, bool (classes,): other images may be of a few classes alone."""
    return answers.by_class["images"] > 0


def _averaged(figure: str) -> tuple[EvaluationMetric, EvaluationMetric]:
    """Precision, recall or F1: its mean over the classes that are there, and weighed by their images."""

    def macro(answers: Answers) -> float:
        return float(np.mean(answers.by_class[figure][_there(answers)]))

    def weighted(answers: Answers) -> float:
        return float(np.average(answers.by_class[figure], weights=answers.by_class["images"]))

    def weighted_interval(answers: Answers) -> Any:
        resampled = answers.bootstrap.weighted(getattr(answers.bootstrap, figure))
        return answers.bootstrap.interval(weighted(answers), resampled, len(answers.labels))

    is_f1 = figure == "f1"
    return (
        EvaluationMetric(
            f"macro_{figure}",
            macro,
            "macro F1 {macro_f1:.4f}" if is_f1 else "",
            lambda answers: answers.bootstrap.macro_interval(figure),
            "macro F1" if is_f1 else "",
        ),
        EvaluationMetric(f"weighted_{figure}", weighted, "", weighted_interval),
    )


METRICS = (
    EvaluationMetric(
        "accuracy",
        lambda answers: answers.accuracy,
        "accuracy {accuracy:.4f} (95 % interval {accuracy_interval[0]:.4f} to {accuracy_interval[1]:.4f})",
        lambda answers: wilson(answers.accuracy, len(answers.labels)),
        "accuracy",
    ),
    EvaluationMetric("top_k", lambda answers: TOP if len(answers.classes) > TOP else None),
    EvaluationMetric(
        "top_k_accuracy",
        lambda answers: _top(answers),
        interval=lambda answers: None if (share := _top(answers)) is None else wilson(share, len(answers.labels)),
        said=f"top {TOP}",
    ),
    EvaluationMetric(
        "balanced_accuracy",
        lambda answers: _balanced(answers),
        interval=lambda answers: answers.bootstrap.macro_interval("recall"),
        said="balanced accuracy",
    ),
    *_averaged("precision"),
    *_averaged("recall"),
    *_averaged("f1"),
    EvaluationMetric(
        "roc_auc", lambda answers: answers.roc.mean, "", lambda answers: answers.roc.mean_interval, "ROC area"
    ),
    EvaluationMetric(
        "average_precision",
        lambda answers: answers.precision_recall.mean,
        "",
        lambda answers: answers.precision_recall.mean_interval,
        "PR area",
    ),
    EvaluationMetric(
        "log_loss",
        lambda answers: float(np.mean(answers.log_losses)),
        "",
        lambda answers: answers.log_loss_interval,
        "log loss",
    ),
    EvaluationMetric(
        "brier",
        lambda answers: float(np.mean(answers.squared_errors)),
        "",
        lambda answers: answers.brier_interval,
        "Brier score",
    ),
    EvaluationMetric("calibration", reliability),
    EvaluationMetric("majority_class", Answers.majority_class),
    EvaluationMetric("never_predicted", Answers.never_predicted),
    EvaluationMetric("classes", lambda answers: table(answers)),
    EvaluationMetric("confusion", Answers.confusion),
)
"""What `evaluate` computes of all images, in the order of its result."""


def _top(answers: Answers) -> float | None:
    """How often the right class is among the five likeliest; None of five classes or fewer."""
    return float(np.mean(answers.right_ranks < TOP)) if len(answers.classes) > TOP else None


def _balanced(answers: Answers) -> float:
    """The mean recall of the classes that are there."""
    return float(np.mean(answers.by_class["recall"][_there(answers)]))


def _proportions(answers: Answers, figure: str, counts: Any) -> list[Any]:
    return [wilson(float(share), int(count)) for share, count in zip(answers.by_class[figure], counts, strict=True)]


CLASS_METRICS = (
    EvaluationMetric(
        "precision",
        lambda answers: answers.by_class["precision"],
        "precision",
        lambda answers: _proportions(
            answers, "precision", np.bincount(answers.predicted, minlength=len(answers.classes))
        ),
    ),
    EvaluationMetric(
        "recall",
        lambda answers: answers.by_class["recall"],
        "recall",
        lambda answers: _proportions(answers, "recall", answers.by_class["images"]),
    ),
    EvaluationMetric(
        "f1", lambda answers: answers.by_class["f1"], "F1", lambda answers: of_f1(answers.bootstrap.confusion)
    ),
    EvaluationMetric(
        "roc_auc", lambda answers: answers.roc.of_class, "ROC area", lambda answers: answers.roc.of_class_intervals
    ),
    EvaluationMetric(
        "average_precision",
        lambda answers: answers.precision_recall.of_class,
        "PR area",
        lambda answers: answers.precision_recall.of_class_intervals,
    ),
)
"""What it computes of each class, beside the number of its images."""


_NAMES = {metric.name: metric.text for metric in CLASS_METRICS}
_NAMES |= {metric.name: metric.said for metric in METRICS if metric.said}
_NAMES |= {"ece": "calibration error", "ece_by_chance": "by chance alone"}


def words(name: str) -> str:
    """What a figure, or another key of a JSON document, is called wherever a person reads it."""
    return _NAMES.get(name) or name.replace("_", " ").replace("f1", "F1")


def computed(answers: Answers) -> dict[str, Any]:
    """All metrics by their names, each with its interval behind it."""
    found: dict[str, Any] = {}
    for metric in METRICS:
        found |= _found(metric, answers)
    return found


def _found(metric: EvaluationMetric, answers: Answers) -> dict[str, Any]:
    of_interval = {f"{metric.name}_interval": metric.interval(answers)} if metric.interval else {}
    return {metric.name: metric.of(answers)} | of_interval


def table(answers: Answers) -> list[dict[str, Any]]:
    """The metrics of each class."""
    columns: dict[str, Any] = {}
    for metric in CLASS_METRICS:
        columns |= _found(metric, answers)
    return [
        {"name": name, "images": int(answers.by_class["images"][i])}
        | {column: _plain(values[i]) for column, values in columns.items()}
        for i, name in enumerate(answers.classes)
    ]


def _plain(value: Any) -> Any:
    """A value of a class as JSON has it."""
    return value if value is None or isinstance(value, list) else float(value)


def figure_lines(result: Mapping[str, Any]) -> list[tuple[str, float, list[float] | None]]:
    """The headline figures of a result that have a value: what each is called, it, and its interval."""
    rows = [(words(m.name), result.get(m.name), result.get(f"{m.name}_interval")) for m in METRICS if m.said]
    calibration = result.get("calibration") or {}
    rows.append((words("ece"), calibration.get("ece"), calibration.get("ece_interval")))
    rows.append((f"  {words('ece_by_chance')}", calibration.get("ece_by_chance"), None))
    return [(said, value, ends) for said, value, ends in rows if value is not None]


def line(result: dict[str, Any]) -> str:
    """The result of `evaluate` in a line."""
    texts = [metric.text for metric in METRICS if metric.text]
    texts = ["{split}: " + texts[0], *texts[1:], "loss {loss:.4f}", counted(result["images"], "image")]
    return ", ".join(texts).format_map(result | {"split": called(result)})


def called(result: Mapping[str, Any]) -> str:
    """What a result is of: the name of a split, or where other images are from."""
    return str(result["split"] or result["source"]["path"])
