"""Lighter and darker images."""

from __future__ import annotations

from typing import Any, Literal

from cnnkit.data.augmentations.base import Pixelwise, Strength
from cnnkit.data.augmentations.pixel_maths import linear


class Brightness(Pixelwise):
    """Adds the same to every pixel."""

    says = "brightness {0:+.0%}"

    name: Literal["brightness"] = "brightness"
    strength: Strength = 0.2
    """Most that is added or taken away, as a fraction of full white."""

    def __call__(self, image: Any, amount: Any) -> Any:
        """Adds, and cuts off at black and white."""
        return linear(image, 1, 255 * amount[0]) if amount[0] else image
