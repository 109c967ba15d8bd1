"""Parts of images, brought to size (Szegedy et al. 2015, arXiv:1409.4842, section 6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, Self

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.lazy import np
from cnnkit.core.text import percent
from cnnkit.data.augmentations.base import Geometric, Size, scales
from cnnkit.data.augmentations.windows import Areas, Ratios, sides, toned_ratios


class RandomResizedCrop(Geometric):
    """Cuts a window of random area, proportions and place out of the image and brings it to the size of the image.

    Unlike in other libraries no draw is thrown away because its window is too wide or too high: proportions are drawn
    among those that fit, so that every area in the range is as likely. Proportions are relative to those of the image.
    """

    chances = 4
    says = "crop to {0:.0%} x {1:.0%}"
    neutral = 1.0

    name: Literal["random_resized_crop"] = "random_resized_crop"
    area: Areas = (0.08, 1.0)
    """Smallest and largest area of the window, as fractions of that of the image."""
    ratio: Ratios = (0.75, 1.333)
    """Narrowest and widest proportions, width by height, where 1 are those of the image."""

    def odd_amounts(self, given: Given) -> Iterator[Problem]:
        """Windows that are all of the image, and such that never show much of it."""
        if self.area[0] > 0.98 and self.ratio[1] / self.ratio[0] < 1.02:
            yield Problem("always shows the whole image; 0.08 to 0.6 is usual", key="area.0")
        if self.area[1] < 0.25:
            message = f"never shows more than {percent(self.area[1])} of an image, and evaluation all of it; 1 is usual"
            yield Problem(message, key="area.1")
        smallest = self.area[0] * given.shape[0] * given.shape[1]
        if smallest < 16 and self.area[1] >= 0.25:
            message = f"is a window of {smallest:.2g} pixels, which show nothing; 0.08 to 0.6 is usual"
            yield Problem(message, key="area.0")

    def amounts(self, chance: Any) -> Any:
        """Width and height of the window as fractions of the image's, and its place: 0 left or top, 1 right, bottom."""
        return np.concatenate([sides(chance[:, 0], chance[:, 1], self.area, self.ratio), chance[:, 2:]], axis=1)

    def effect(self, amount: Any, image: Any) -> Any:
        """The size of the window, of whole pixels."""
        size = image.shape[1::-1]
        return self._windows(amount[:2], size) / size

    def matrices(self, amounts: Any, size: Size) -> Any:
        """From a window of whole pixels, inside of the image."""
        windows = self._windows(amounts[:, :2], size)
        first = np.floor(amounts[:, 2:] * (size - windows + 1))
        matrices = scales(windows / size)
        matrices[:, :2, 2] = first + windows / 2 - np.divide(size, 2)
        return matrices

    def _windows(self, shares: Any, size: Size) -> Any:
        """Widths and heights of windows in pixels, from shares of those of the image: (B, 2) or (2,)."""
        return np.maximum(np.rint(shares * size), 1)

    def weaker(self, share: float) -> Self:
        """Windows that lack only a share of the area, and have proportions nearer to 1."""
        area = (share * self.area[0] + (1 - share), share * self.area[1] + (1 - share))
        return self.model_copy(update={"area": area, "ratio": toned_ratios(self.ratio, share)})
