"""The metrics that training follows, epoch by epoch: EPOCH_METRICS below is all of them.

Each is measured on the training images and on those of validation, where its name has `val_` before it. So the config
(`monitor`), metrics.jsonl, the lines on the screen and the curves have them all, and a new one is a new entry here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cnnkit.core.lazy import keras
from cnnkit.optimization.losses import Loss

TRAINING, VALIDATION = "", "val_"
"""What stands before the name of a metric, by the images that it is measured on."""


@dataclass(frozen=True)
class EpochMetric:
    """A figure that says how good the network is after an epoch.

    Attributes:
        name: What it is called everywhere.
        more_is_better: Its direction.
        build: From the loss of the training to the Keras metric; None for the loss itself.
        format: How a value is written into a line.
    """

    name: str
    more_is_better: bool
    build: Callable[[Loss], Any] | None
    format: str = ".4f"

    def better(self, value: float, best: float | None, min_delta: float = 0.0) -> bool:
        """Whether a value is better than the best so far, by more than `min_delta`; NaN never is."""
        if math.isnan(value):
            return False
        if best is None:
            return True
        return value > best + min_delta if self.more_is_better else value < best - min_delta


EPOCH_METRICS = (
    EpochMetric("loss", more_is_better=False, build=None),
    EpochMetric(
        "accuracy",
        more_is_better=True,
        build=lambda loss: keras.metrics.MeanMetricWrapper(loss.accuracy, name="accuracy"),
    ),
)


def names(*sides: str) -> list[str]:
    """What the metrics are called on the training images, those of validation, or both."""
    return [side + metric.name for side in sides for metric in EPOCH_METRICS]


MONITORS = tuple(names(VALIDATION, TRAINING))
"""What the config may name to be watched."""

if TYPE_CHECKING:
    Monitor = str
else:
    Monitor = Literal[MONITORS]


def metric_of(name: str) -> EpochMetric:
    """The metric that is called so, with or without `val_`."""
    return {metric.name: metric for metric in EPOCH_METRICS}[name.removeprefix(VALIDATION)]


def build(loss: Loss) -> list[Any]:
    """The Keras metrics that measure them, but for the loss."""
    return [metric.build(loss) for metric in EPOCH_METRICS if metric.build]


def text(values: Mapping[str, float]) -> str:
    """The values of metrics in a line."""
    return "  ".join(f"{name} {value:{metric_of(name).format}}" for name, value in values.items())
