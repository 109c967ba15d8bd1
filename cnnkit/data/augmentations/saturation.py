"""Stronger and paler colours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.lazy import cv2, np
from cnnkit.core.text import percent
from cnnkit.data.augmentations.base import Pixelwise, Strength
from cnnkit.data.augmentations.pixel_maths import GREY


class Saturation(Pixelwise):
    """Moves every pixel away from its own grey, or towards it; a grey image stays as it is."""

    says = "saturation {0:+.0%}"
    for_colour = True

    name: Literal["saturation"] = "saturation"
    strength: Strength = 0.2
    """Most colour that is added or taken away, as a fraction of what there is."""

    def odd_amounts(self, given: Given) -> Iterator[Problem]:
        """An amount that nobody sees."""
        if 0 < self.strength < 0.01:
            yield Problem(
                f"changes colours by at most {percent(self.strength, 1)}, which nobody sees; 0.2 to 0.5 is usual",
                key="strength",
            )

    def __call__(self, image: Any, amount: Any) -> Any:
        """Multiplies the distance from grey."""
        if not amount[0] or image.shape[2] == 1:
            return image
        return cv2.transform(image, (1 + amount[0]) * np.eye(3) - amount[0] * np.array([GREY] * 3))
