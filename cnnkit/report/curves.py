"""history.png: the curves of a training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from cnnkit.optimization import training_metrics
from cnnkit.optimization.training_metrics import TRAINING, VALIDATION
from cnnkit.report import figures


def draw(epochs: list[dict[str, Any]], best_epoch: int | None, path: Path) -> None:
    """Draws the metrics over the epochs, training and validation, into a PNG file."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, MaxNLocator

    metrics = training_metrics.EPOCH_METRICS
    figure = Figure(figsize=(5 * len(metrics), 4), layout="constrained")
    numbers = [epoch["epoch"] for epoch in epochs]
    for axes, metric in zip(figure.subplots(1, len(metrics)), metrics, strict=True):
        for side, label in ((TRAINING, "training"), (VALIDATION, "validation")):
            values = [epoch[side + metric.name] for epoch in epochs]
            axes.plot(numbers, [math.nan if value is None else value for value in values], marker=".", label=label)
        if best_epoch:
            axes.axvline(best_epoch, color="grey", linestyle=":", label=f"kept: epoch {best_epoch}")
        axes.set(xlabel="epoch", ylabel=metric.name)
        # A single epoch, as a fitted classifier has, would have fractions of it around.
        axes.xaxis.set_major_locator(MaxNLocator(integer=True) if len(numbers) > 1 else FixedLocator(numbers))
        axes.grid(alpha=0.3)
        axes.legend()
    figures.save(figure, path)
