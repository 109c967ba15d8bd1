"""What is said of sections that watch a metric: `early_stopping`, `checkpoint`, and the schedule `plateau`."""

from __future__ import annotations

from collections.abc import Iterator

from cnnkit.core.errors import Problem
from cnnkit.optimization.training_metrics import VALIDATION

BIG = 0.1
"""A gain of accuracy, or of the loss, that few epochs bring."""


def on_training_images(monitor: str, so: str) -> Iterator[Problem]:
    """That what is watched gets better while the network learns by heart.

    Args:
        monitor: Name of the metric.
        so: What comes of it.
    """
    if not monitor.startswith(VALIDATION):
        message = f"is measured on the training images, so {so}; {VALIDATION}{monitor} is measured on others"
        yield Problem(message, key="monitor")


def rare_gain(min_delta: float) -> Iterator[Problem]:
    """That hardly an epoch brings the gain that counts as one."""
    if min_delta >= BIG:
        message = f"an epoch that is better by less than {min_delta:g} counts as none; 0 to 0.01 are usual"
        yield Problem(message, key="min_delta")
