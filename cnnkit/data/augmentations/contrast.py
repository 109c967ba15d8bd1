"""More and less contrast."""

from __future__ import annotations

from typing import Any, Literal

from cnnkit.core.lazy import cv2
from cnnkit.data.augmentations.base import Pixelwise, Strength
from cnnkit.data.augmentations.pixel_maths import GREY, linear


class Contrast(Pixelwise):
    """Moves every pixel away from the mean grey of the image, or towards it."""

    says = "contrast {0:+.0%}"

    name: Literal["contrast"] = "contrast"
    strength: Strength = 0.2
    """Most contrast that is added or taken away, as a fraction of what there is."""

    def __call__(self, image: Any, amount: Any) -> Any:
        """Multiplies the distance from the mean grey."""
        means = cv2.mean(image)
        grey = means[0] if image.shape[2] == 1 else sum(k * mean for k, mean in zip(GREY, means, strict=False))
        return linear(image, 1 + amount[0], -amount[0] * grey)
