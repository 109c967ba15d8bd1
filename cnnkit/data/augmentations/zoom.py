"""Larger and smaller images."""

from __future__ import annotations

from typing import Any, Literal

from cnnkit.data.augmentations.base import Filling, Size, Strength, as_factors, zooms


class Zoom(Filling):
    """Makes the image larger or smaller about its middle, width and height alike.

    With a fraction of 0.25 it becomes up to 1.25 times as large, or down to 1 / 1.25 = 0.8 times: both by the same
    factor, and each as likely.
    """

    says = "zoom {0:+.0%}"

    name: Literal["zoom"] = "zoom"
    fraction: Strength = 0.2
    """How much larger it becomes at most, as a fraction of its size."""

    def amounts(self, chance: Any) -> Any:
        """How much larger, as fractions of the size; below 0 where it becomes smaller."""
        return as_factors(chance, self.fraction) - 1

    def matrices(self, amounts: Any, size: Size) -> Any:
        """Comes from nearer to the middle where it becomes larger."""
        return zooms(amounts[:, 0])
