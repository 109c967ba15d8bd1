"""Turned images."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from cnnkit.data.augmentations.base import Filling, Size, turns


class Rotate(Filling):
    """Turns the image about its middle, by a random angle to either side."""

    says = "rotate {0:+.0f} deg"  # against the clock

    name: Literal["rotate"] = "rotate"
    degrees: Annotated[float, Field(ge=0, le=180)] = 15.0
    """Largest angle, in degrees."""

    def matrices(self, amounts: Any, size: Size) -> Any:
        """Turns about the middle."""
        return turns(amounts[:, 0])
