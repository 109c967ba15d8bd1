"""Images seen from aside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.lazy import np
from cnnkit.data.augmentations.base import Filling, Size, identities


class Perspective(Filling):
    """Moves each corner of the image by itself, as if the picture hung on a wall and one stood aside."""

    chances = 8
    says = "perspective, corners by up to {0:.0%}"

    name: Literal["perspective"] = "perspective"
    strength: Annotated[float, Field(ge=0, le=0.2)] = 0.1
    """How far a corner moves at most in each direction, as a fraction of the width and of the height."""

    def odd_amounts(self, given: Given) -> Iterator[Problem]:
        """Corners that nobody sees move."""
        yield from self.unseen(self.strength * given.side, "strength", "0.05 to 0.1", given)

    def effect(self, amount: Any, image: Any) -> Any:
        """The farthest move of a corner."""
        return np.abs(amount).max(keepdims=True)

    def matrices(self, amounts: Any, size: Size) -> Any:
        """From the unit square to a quadrilateral, in closed form (Heckbert 1989, Fundamentals of texture mapping).

        Amounts are how far each corner of the result comes from a corner of the original, to the right and down, as
        fractions of width and height: top left, top right, bottom right and bottom left.
        """
        corners = amounts.reshape(-1, 4, 2) + np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
        first, second, third, fourth = corners[:, 0], corners[:, 1], corners[:, 2], corners[:, 3]
        across, down, askew = second - third, fourth - third, first - second + third - fourth
        area = _cross(across, down)
        g, h = _cross(askew, down) / area, _cross(across, askew) / area
        matrices = identities(len(amounts))
        matrices[:, :2, 0] = second - first + g[:, None] * second
        matrices[:, :2, 1] = fourth - first + h[:, None] * fourth
        matrices[:, :2, 2] = first
        matrices[:, 2, 0], matrices[:, 2, 1] = g, h
        # That counts from the top left corner in sizes of the image; here it is from the middle and in pixels.
        matrices = matrices @ [[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]]
        sizes = np.array([*size, 1])
        return matrices * sizes[:, None] / sizes


def _cross(a: Any, b: Any) -> Any:
    """The area between vectors (B, 2), with its sign."""
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
