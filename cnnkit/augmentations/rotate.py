"""Turned images."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from cnnkit.augmentations.base import Fill, Geometric, either_way, identities
from cnnkit.lazy import np


class Rotate(Geometric):
    """Turns the image about its middle, by a random angle to either side."""

    chances = 1
    says = "rotate {0:+.0f} deg"
    strengths = ("degrees",)

    name: Literal["rotate"] = "rotate"
    degrees: Annotated[float, Field(ge=0, le=180)] = 15.0
    """Largest angle, in degrees."""
    fill: Fill = "edge"
    """What comes into the corners: the pixels of the edge again, black, or the mirror image."""

    def amounts(self, chance: Any) -> Any:
        """Angles in degrees, positive against the clock."""
        return either_way(chance, self.degrees)

    def matrices(self, amounts: Any, height: int, width: int) -> Any:
        """A pixel comes from where the opposite turn leads; y points down."""
        angle = np.radians(amounts[:, 0])
        matrices = identities(len(amounts))
        matrices[:, 0, 0] = matrices[:, 1, 1] = np.cos(angle)
        matrices[:, 0, 1] = -np.sin(angle)
        matrices[:, 1, 0] = np.sin(angle)
        return matrices
