"""More and less contrast."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.lazy import cv2
from cnnkit.core.text import percent
from cnnkit.data.augmentations.base import Pixelwise, Strength
from cnnkit.data.augmentations.pixel_maths import GREY, linear


class Contrast(Pixelwise):
    """Moves every pixel away from the mean grey of the image, or towards it."""

    says = "contrast {0:+.0%}"

    name: Literal["contrast"] = "contrast"
    strength: Strength = 0.2
    """Most contrast that is added or taken away, as a fraction of what there is."""

    def odd_amounts(self, given: Given) -> Iterator[Problem]:
        """An amount that nobody sees, and one that leaves nothing."""
        if 0 < self.strength < 0.01:
            message = f"changes contrast by at most {percent(self.strength, 1)}, which nobody sees; 0.1 to 0.3 is usual"
            yield Problem(message, key="strength")
        if self.strength > 0.9:
            yield Problem("leaves some images one grey; 0.1 to 0.3 is usual", key="strength")

    def __call__(self, image: Any, amount: Any) -> Any:
        """Multiplies the distance from the mean grey."""
        means = cv2.mean(image)
        grey = means[0] if image.shape[2] == 1 else sum(k * mean for k, mean in zip(GREY, means, strict=False))
        return linear(image, 1 + amount[0], -amount[0] * grey)
