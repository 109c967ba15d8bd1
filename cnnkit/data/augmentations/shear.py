"""Slanted images."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.lazy import np
from cnnkit.data.augmentations.base import Filling, Size, either_way, in_digits, shears

STEEP = 45
"""Degrees from which on the top leaves the picture."""


class Shear(Filling):
    """Slants the image as writing leans, by a random angle to either side; its middle stays."""

    chances = 2

    name: Literal["shear"] = "shear"
    degrees: Annotated[float, Field(ge=0, le=60)] = 10.0
    """Largest angle, in degrees."""
    direction: Literal["horizontal", "vertical", "both"] = "horizontal"
    """What leans: upright lines, level lines, or each by an angle of its own."""

    def odd_amounts(self, given: Given) -> Iterator[Problem]:
        """A slant that nobody sees, and one that leaves little."""
        yield from self.unseen(math.tan(math.radians(self.degrees)) * given.side / 2, "degrees", "5 to 15", given)
        if self.degrees > STEEP:
            message = f"slants by up to {self.degrees:g} degrees, which pushes most of the picture out; 10 is usual"
            yield Problem(message, key="degrees")

    def amounts(self, chance: Any) -> Any:
        """Angles in degrees: how far upright lines lean to the right, and how far level ones go down to the right."""
        asked = [self.direction != "vertical", self.direction != "horizontal"]
        return np.where(asked, either_way(chance, self.degrees), 0.0)

    def matrices(self, amounts: Any, size: Size) -> Any:
        """Moves each row aside by its distance from the middle, then each column."""
        return shears(amounts[:, 0], amounts[:, 1])

    def description(self, amount: Any, image: Any) -> str:
        """The angles of the directions that are asked for."""
        ways = zip(("across", "down"), amount, strict=True)
        return ", ".join(in_digits(f"shear {{0:+.0f}} deg {way}", [angle]) for way, angle in ways if angle)
