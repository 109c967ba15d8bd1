"""Moved images."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from cnnkit.augmentations.base import Fill, Geometric, either_way, identities
from cnnkit.lazy import np


class Shift(Geometric):
    """Moves the image by whole pixels, a random distance in each direction."""

    chances = 2
    says = "shift {0:+.0%}, {1:+.0%}"
    strengths = ("fraction",)

    name: Literal["shift"] = "shift"
    fraction: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    """Farthest distance, as a fraction of the width and of the height."""
    fill: Fill = "edge"
    """What is moved in: the pixels of the edge again, black, or the mirror image."""

    def amounts(self, chance: Any) -> Any:
        """Distances to the right and down, as fractions of the width and of the height."""
        return either_way(chance, self.fraction)

    def matrices(self, amounts: Any, height: int, width: int) -> Any:
        """Comes from the other side, by whole pixels so that nothing is blurred."""
        matrices = identities(len(amounts))
        matrices[:, :2, 2] = -np.rint(amounts * (width, height))
        return matrices
