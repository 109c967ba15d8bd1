"""Lighter and darker images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.data.augmentations.base import Pixelwise, Strength
from cnnkit.data.augmentations.pixel_maths import linear


class Brightness(Pixelwise):
    """Adds the same to every pixel."""

    says = "brightness {0:+.0%}"

    name: Literal["brightness"] = "brightness"
    strength: Strength = 0.2
    """Most that is added or taken away, as a fraction of full white."""

    def odd_amounts(self, given: Given) -> Iterator[Problem]:
        """An amount that nobody sees, and one that leaves nothing."""
        if 0 < self.strength < 0.01:
            message = f"changes no pixel by more than {255 * self.strength:.2g} of 255; 0.1 to 0.3 is usual"
            yield Problem(message, key="strength")
        if self.strength > 0.7:
            yield Problem("makes some images all but black or white; 0.1 to 0.3 is usual", key="strength")

    def __call__(self, image: Any, amount: Any) -> Any:
        """Adds, and cuts off at black and white."""
        return linear(image, 1, 255 * amount[0]) if amount[0] else image
