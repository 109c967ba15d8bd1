"""Lighter and darker midtones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.lazy import np
from cnnkit.data.augmentations.base import Pixelwise, Strength, as_factors
from cnnkit.data.augmentations.pixel_maths import through


class Gamma(Pixelwise):
    """Raises every value between black and white, 0 and 1, to a power: the midtones change, black and white stay."""

    says = "gamma {0:.2f}"
    neutral = 1.0

    name: Literal["gamma"] = "gamma"
    strength: Strength = 0.2
    """The power lies between 1 / (1 + strength), lighter, and 1 + strength, darker."""

    def odd_amounts(self, given: Given) -> Iterator[Problem]:
        """An amount that nobody sees."""
        if 0 < self.strength < 0.01:
            message = f"changes no pixel by more than {255 * self.strength / 2.7:.2g} of 255; 0.2 is usual"
            yield Problem(message, key="strength")

    def amounts(self, chance: Any) -> Any:
        """The power; 1 where nothing changes."""
        return as_factors(chance, self.strength)

    def __call__(self, image: Any, amount: Any) -> Any:
        """Each of the 256 values looked up in a table of powers."""
        return image if amount[0] == 1 else through(image, 255 * (np.arange(256) / 255) ** amount[0])
