"""Images without their colours."""

from __future__ import annotations

from typing import Any, Literal

from cnnkit.core.lazy import cv2
from cnnkit.core.spec import Probability
from cnnkit.data.augmentations.base import Pixelwise


class RandomGrayscale(Pixelwise):
    """Takes the colours away now and then; three equal channels stay."""

    chances = 0
    says = "grayscale"
    for_colour = True
    removes_colour = True

    name: Literal["grayscale"] = "grayscale"
    probability: Probability = 0.1
    """Chance that an image loses its colours."""

    def amounts(self, chance: Any) -> Any:
        """There is nothing to choose: an image loses all of its colours."""
        return chance

    def __call__(self, image: Any, amount: Any) -> Any:
        """0.299 red + 0.587 green + 0.114 blue (ITU-R BT.601) in each channel; a grey image as it is."""
        if image.shape[2] == 1:
            return image
        return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
