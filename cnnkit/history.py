"""history.png: the curves of a training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from cnnkit import atomic


def draw(epochs: list[dict[str, Any]], best_epoch: int | None, path: Path) -> None:
    """Draws loss and accuracy over the epochs, training and validation, into a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(10, 4), layout="constrained")
    numbers = [epoch["epoch"] for epoch in epochs]
    for axes, metric in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for key, label in ((metric, "training"), (f"val_{metric}", "validation")):
            axes.plot(
                numbers, [math.nan if epoch[key] is None else epoch[key] for epoch in epochs], marker=".", label=label
            )
        if best_epoch:
            axes.axvline(best_epoch, color="grey", linestyle=":", label=f"kept: epoch {best_epoch}")
        axes.set(xlabel="epoch", ylabel=metric)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    with atomic.replacing(path) as temporary:
        FigureCanvasAgg(figure)
        figure.savefig(temporary, format="png")
