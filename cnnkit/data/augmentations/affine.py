"""Images moved, turned, made larger and slanted at once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.lazy import np
from cnnkit.data.augmentations.base import (
    Filling,
    Size,
    as_factors,
    as_moved,
    either_way,
    moved_far,
    moves,
    shears,
    turns,
    zooms,
)


class Affine(Filling):
    """Slants, zooms, turns and then shifts the image, each by a random amount."""

    chances = 5
    says = "affine {0:+.0f} deg, shift {1:+.0%}, {2:+.0%}, zoom {3:+.0%}, shear {4:+.0f} deg"

    name: Literal["affine"] = "affine"
    degrees: Annotated[float, Field(ge=0, le=180)] = 10.0
    """Largest angle of the turn, in degrees."""
    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    """Farthest distance, as a fraction of the width and of the height; by whole pixels."""
    zoom: Annotated[float, Field(ge=0, le=1)] = 0.1
    """How much larger it becomes at most, as a fraction of its size, and by the same factor smaller."""
    shear: Annotated[float, Field(ge=0, le=60)] = 5.0
    """Largest slant of upright lines, in degrees."""

    def odd_amounts(self, given: Given) -> Iterator[Problem]:
        """Each of its parts as if it were alone."""
        edge = given.side / 2
        yield from self.unseen(math.radians(self.degrees) * edge, "degrees", "5 to 15", given)
        yield from self.unseen(self.shift * given.side, "shift", "0.05 to 0.1", given)
        yield from self.unseen(self.zoom * edge, "zoom", "0.1 to 0.3", given)
        yield from self.unseen(math.tan(math.radians(self.shear)) * edge, "shear", "5 to 15", given)
        yield from moved_far(self.shift, "shift")

    def amounts(self, chance: Any) -> Any:
        """The turn in degrees, the shift as two fractions, the zoom as a fraction, the slant in degrees."""
        turn = either_way(chance[:, :1], self.degrees)
        shift = either_way(chance[:, 1:3], self.shift)
        zoom = as_factors(chance[:, 3:4], self.zoom) - 1
        return np.concatenate([turn, shift, zoom, either_way(chance[:, 4:], self.shear)], axis=1)

    def effect(self, amount: Any, image: Any) -> Any:
        """All of it, the shift of whole pixels."""
        return np.concatenate([amount[:1], as_moved(amount[1:3], self.shift, image.shape[1::-1]), amount[3:]])

    def matrices(self, amounts: Any, size: Size) -> Any:
        """One after the other; what is done last comes first on the way back to the original."""
        slants = shears(amounts[:, 4], np.zeros(len(amounts)))
        return slants @ zooms(amounts[:, 3]) @ turns(amounts[:, 0]) @ moves(amounts[:, 1:3], self.shift, size)
