"""Noise, as in the dark."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Literal

from cnnkit.core import randomness as chances
from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.lazy import cv2, np
from cnnkit.data.augmentations.base import Pixelwise, Strength


class Noise(Pixelwise):
    """Adds Gaussian noise to every value, each by itself.

    A value of the noise is one of 256, the middles of slices of the Gaussian that are as likely, so that a byte of
    chance is enough: ten times as fast as exact draws, the same mean and standard deviation, and none beyond 2.9
    standard deviations.
    """

    chances = 2
    says = "noise {0:.1%}"
    adds_colour = True

    name: Literal["noise"] = "noise"
    deviation: Strength = 0.05
    """Largest standard deviation, as a fraction of full white."""

    def odd_amounts(self, given: Given) -> Iterator[Problem]:
        """An amount that nobody sees, and one that leaves nothing."""
        if 0 < self.deviation < 0.002:
            message = f"is {255 * self.deviation:.2g} of 255, and pixels are whole numbers; 0.02 to 0.1 is usual"
            yield Problem(message, key="deviation")
        if self.deviation > 0.5:
            yield Problem("leaves noise of some images; 0.02 to 0.1 is usual", key="deviation")

    def amounts(self, chance: Any) -> Any:
        """The standard deviation as a fraction of full white, and a number that decides each value."""
        return chance * (self.deviation, 1)

    def effect(self, amount: Any, image: Any) -> Any:
        """The standard deviation; the other number tells nobody anything."""
        return amount[:1]

    def __call__(self, image: Any, amount: Any) -> Any:
        """Adds, and cuts off at black and white."""
        table = np.rint(255 * amount[0] * _gaussian()).astype(np.int16)
        drawn = chances.random_bytes(amount[1], image.size).reshape(image.shape)
        return cv2.add(image, cv2.LUT(drawn, table).reshape(image.shape), dtype=cv2.CV_8U).reshape(image.shape)


@cache
def _gaussian() -> Any:
    """256 values that are as likely, with mean 0 and standard deviation 1."""
    from scipy.special import ndtri

    values = ndtri((np.arange(256) + 0.5) / 256)
    return values / values.std()
