"""Turned images."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.data.augmentations.base import Filling, Size, turns

UPSIDE = 60
"""Degrees beyond which a character may become another one."""


class Rotate(Filling):
    """Turns the image about its middle, by a random angle to either side."""

    says = "rotate {0:+.0f} deg"  # against the clock

    name: Literal["rotate"] = "rotate"
    degrees: Annotated[float, Field(ge=0, le=180)] = 15.0
    """Largest angle, in degrees."""

    def odd_amounts(self, given: Given) -> Iterator[Problem]:
        """A turn that nobody sees, and one that makes another character."""
        yield from self.unseen(math.radians(self.degrees) * given.side / 2, "degrees", "5 to 15", given)
        if self.degrees > UPSIDE and given.of_characters:
            message = f"turns characters by up to {self.degrees:g} degrees, and 6 and 9, or M and W, are then the same"
            yield Problem(f"{message}; 15 is usual", key="degrees")

    def matrices(self, amounts: Any, size: Size) -> Any:
        """Turns about the middle."""
        return turns(amounts[:, 0])
