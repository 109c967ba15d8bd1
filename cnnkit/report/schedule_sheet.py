"""A sheet of all learning-rate schedules at their defaults, for `cnnkit list schedules --plot`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cnnkit.core.lazy import np
from cnnkit.optimization.section import EPOCHS
from cnnkit.report import png

if TYPE_CHECKING:
    from cnnkit.optimization.schedules.base import Schedule

PER_EPOCH = 40
"""Updates of an epoch that are drawn: enough for a curve to look like one."""

WARMUP = 3.0
"""Epochs of the warm-up that is drawn beside the course without."""


def draw(schedules: Sequence[type[Schedule]], path: Path) -> None:
    """Draws the course of each, without a warm-up and with one, into a PNG file.

    Args:
        schedules: Those to draw; all their settings have defaults.
        path: The file.

    Raises:
        DiskError: The disk has no room for it, or fails.
    """
    from matplotlib.figure import Figure

    columns = 3
    rows = -(-len(schedules) // columns)
    figure = Figure(figsize=(3.2 * columns, 2.2 * rows), dpi=90, layout="constrained")
    epochs = np.arange(EPOCHS * PER_EPOCH) / PER_EPOCH
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for number, axes in enumerate(panels.flat):
        if number >= len(schedules):
            axes.set_visible(False)
            continue
        schedule = schedules[number]
        axes.plot(epochs, schedule().course(1.0, PER_EPOCH, EPOCHS), label="as it is")
        warmed = schedule(warmup_epochs=WARMUP).course(1.0, PER_EPOCH, EPOCHS)
        axes.plot(epochs, warmed, linestyle="--", label=f"warmup_epochs: {WARMUP:g}")
        axes.set_title(schedule.model_fields["name"].default, family="monospace", fontsize="medium")
        axes.text(0.97, 0.85, schedule.drawn, transform=axes.transAxes, ha="right", va="top", fontsize="small")
        axes.grid(alpha=0.3)
    panels[0, 0].legend(fontsize="small", loc="lower right")
    figure.supxlabel("epoch")
    figure.supylabel("share of the learning rate")
    png.save(figure, path)
