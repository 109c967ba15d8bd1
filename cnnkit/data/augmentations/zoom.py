"""Larger and smaller images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
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

    def odd_amounts(self, given: Given) -> Iterator[Problem]:
        """A zoom that nobody sees."""
        yield from self.unseen(self.fraction * given.side / 2, "fraction", "0.1 to 0.3", given)

    def amounts(self, chance: Any) -> Any:
        """How much larger, as fractions of the size; below 0 where it becomes smaller."""
        return as_factors(chance, self.fraction) - 1

    def matrices(self, amounts: Any, size: Size) -> Any:
        """Comes from nearer to the middle where it becomes larger."""
        return zooms(amounts[:, 0])
