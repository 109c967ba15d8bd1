"""Sharper images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.lazy import cv2
from cnnkit.core.text import percent
from cnnkit.data.augmentations.base import Pixelwise
from cnnkit.data.augmentations.pixel_maths import blended


class RandomSharpen(Pixelwise):
    """Adds to the image what a blur would take away (unsharp masking); the blur is that of 1-2-1 in each direction."""

    says = "sharpen {0:.0%}"

    name: Literal["sharpen"] = "sharpen"
    strength: Annotated[float, Field(ge=0, le=10)] = 1.0
    """Most that is added, as a multiple of what the blur takes away."""

    def odd_amounts(self, given: Given) -> Iterator[Problem]:
        """An amount that nobody sees, and one that leaves nothing."""
        if 0 < self.strength < 0.05:
            message = (
                f"adds at most {percent(self.strength, 1)} of what a blur takes, and nobody sees it; 0.5 to 2 is usual"
            )
            yield Problem(message, key="strength")
        if self.strength > 5:
            yield Problem("makes noise and edges of some images; 0.5 to 2 is usual", key="strength")

    def amounts(self, chance: Any) -> Any:
        """How many times what the blur takes away is added."""
        return self.strength * chance

    def __call__(self, image: Any, amount: Any) -> Any:
        """The image plus its difference to the blurred one; below 0 it becomes softer."""
        soft = cv2.GaussianBlur(image, (3, 3), 0).reshape(image.shape)
        return blended(image, soft, 1 + amount[0], -amount[0])
