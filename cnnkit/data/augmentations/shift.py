"""Moved images."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from cnnkit.data.augmentations.base import Moving, Size, moves


class Shift(Moving):
    """Moves the image by whole pixels, a random distance in each direction."""

    chances = 2
    says = "shift {0:+.0%}, {1:+.0%}"  # to the right and down

    name: Literal["shift"] = "shift"
    fraction: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    """Farthest distance, as a fraction of the width and of the height."""

    def matrices(self, amounts: Any, size: Size) -> Any:
        """Moves by whole pixels."""
        return moves(amounts, self.fraction, size)
