"""Pieces that hang together: away with the small, or with all but the largest."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from cnnkit.core.spec import Count, Fraction
from cnnkit.data.preparation.base import Preparation
from cnnkit.data.preparation.foreground import Foreground, components, foreground, on_black


class RemoveSmall(Preparation):
    """Makes pieces of the foreground black that are too small; the rest stays as it is.

    The foreground is what is white in black and white, else the light part by Otsu's method. Say `min_area` or
    `min_pixels`.
    """

    takes_colours: ClassVar[bool] = True

    name: Literal["remove_small"] = "remove_small"
    min_area: Fraction | None = None
    """Least area of a piece that stays, as a fraction of the picture's."""
    min_pixels: Count | None = None
    """The same in pixels."""
    connectivity: Literal[4, 8] = 8
    """Neighbours that a pixel hangs together with: 4, or 8 with those at its corners."""

    @model_validator(mode="after")
    def _one_area(self) -> Self:
        if (self.min_area is None) == (self.min_pixels is None):
            raise ValueError("needs min_area (a fraction of the picture) or min_pixels, and not both")
        return self

    def __call__(self, image: Any) -> Any:
        """What is behind the pieces stays, however little it is."""
        labels, areas, _ = components(foreground(image, "light"), self.connectivity)
        least = self.min_pixels if self.min_area is None else self.min_area * labels.size
        stays = areas >= least
        stays[0] = True
        return on_black(image, stays[labels])


class KeepLargest(Preparation):
    """Keeps the largest piece of the foreground; all else becomes black.

    The foreground is what is white in black and white, else the light or dark part by Otsu's method. Of pieces of one
    size the first counts, from the top, then from the left. A picture of one value has no pieces and stays as it is.
    """

    takes_colours: ClassVar[bool] = True

    name: Literal["keep_largest"] = "keep_largest"
    foreground: Foreground = "light"
    """Whether light or dark pieces are meant."""
    connectivity: Literal[4, 8] = 8
    """Neighbours that a pixel hangs together with: 4, or 8 with those at its corners."""

    def __call__(self, image: Any) -> Any:
        """The largest piece in the picture's own values, before black."""
        labels, areas, _ = components(foreground(image, self.foreground), self.connectivity)
        if len(areas) == 1:
            return image
        largest = areas == areas[1:].max()
        largest[0] = False
        first = labels.ravel()[largest[labels].argmax()]
        return on_black(image, labels == first)
