"""Images with a part erased (Zhong et al. 2020, arXiv:1708.04896; DeVries and Taylor 2017, arXiv:1708.04552)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, Self

from cnnkit.core import randomness as chances
from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.lazy import np
from cnnkit.core.text import percent
from cnnkit.data.augmentations.base import Pixelwise
from cnnkit.data.augmentations.windows import Areas, Ratios, sides, toned_ratios


class Erasing(Pixelwise):
    """Erases a rectangle of random area, proportions and place, as if something stood in front (cut-out).

    The rectangle is inside of the image. Proportions are relative to those of the image.
    """

    chances = 5
    says = "erase {0:.0%}"
    adds_colour = True

    name: Literal["erasing"] = "erasing"
    area: Areas = (0.02, 0.33)
    """Smallest and largest area of the rectangle, as fractions of that of the image."""
    ratio: Ratios = (0.3, 3.3)
    """Narrowest and widest proportions, width by height, where 1 are those of the image."""
    fill: Literal["grey", "black", "noise"] = "grey"
    """What is in the rectangle."""

    def odd_amounts(self, given: Given) -> Iterator[Problem]:
        """A rectangle without a pixel, and one that covers what the label is about."""
        pixels = self.area[1] * given.shape[0] * given.shape[1]
        if 0 < pixels < 1:
            yield Problem(f"is at most {pixels:.2g} pixels, so nothing is erased; 0.02 to 0.33 is usual", key="area.1")
        if self.area[1] > 0.7:
            message = f"covers up to {percent(self.area[1])} of the image, and what the label is about; 0.33 is usual"
            yield Problem(message, key="area.1")

    def amounts(self, chance: Any) -> Any:
        """Area, width and height as fractions of the image's, the place, and a number that decides the noise.

        The place is 0 at the left or the top and 1 at the right or the bottom.
        """
        both = sides(chance[:, 0], chance[:, 1], self.area, self.ratio)
        return np.concatenate([both.prod(axis=1, keepdims=True), both, chance[:, 2:]], axis=1)

    def effect(self, amount: Any, image: Any) -> Any:
        """The area, of whole pixels."""
        return self._size(amount, image).prod(keepdims=True) / np.prod(image.shape[:2])

    def __call__(self, image: Any, amount: Any) -> Any:
        """Fills a rectangle of whole pixels in a copy."""
        height, width, _ = image.shape
        columns, rows = self._size(amount, image)
        if not columns or not rows:
            return image
        left, top = int(amount[3] * (width - columns + 1)), int(amount[4] * (height - rows + 1))
        result = image.copy()
        part = result[top : top + rows, left : left + columns]
        if self.fill == "noise":
            part[:] = chances.random_bytes(amount[5], part.size).reshape(part.shape)
        else:
            part[:] = 128 if self.fill == "grey" else 0
        return result

    def _size(self, amount: Any, image: Any) -> Any:
        """Columns and rows of the rectangle, int (2,)."""
        return np.rint(amount[1:3] * image.shape[1::-1]).astype(int)

    def weaker(self, share: float) -> Self:
        """A share of the area, and proportions nearer to 1."""
        area = (share * self.area[0], share * self.area[1])
        return self.model_copy(update={"area": area, "ratio": toned_ratios(self.ratio, share)})
