"""Parts of images, brought to size (Szegedy et al. 2015, arXiv:1409.4842, section 6)."""

from __future__ import annotations

from typing import Any, Literal, Self

from cnnkit.core.lazy import np
from cnnkit.data.augmentations.base import Geometric, identities
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

    def amounts(self, chance: Any) -> Any:
        """Width and height of the window as fractions of the image's, and its place: 0 left or top, 1 right, bottom."""
        return np.concatenate([sides(chance[:, 0], chance[:, 1], self.area, self.ratio), chance[:, 2:]], axis=1)

    def told(self, amount: Any, image: Any) -> str:
        """The size of the window, of whole pixels."""
        height, width, _ = image.shape
        size = np.array([width, height])
        return super().told(self._windows(amount[None, :2], size)[0] / size, image)

    def matrices(self, amounts: Any, height: int, width: int) -> Any:
        """From a window of whole pixels, inside of the image."""
        image = np.array([width, height])
        window = self._windows(amounts, image)
        first = np.floor(amounts[:, 2:] * (image - window + 1))
        matrices = identities(len(amounts))
        matrices[:, [0, 1], [0, 1]] = window / image
        matrices[:, :2, 2] = first + window / 2 - image / 2
        return matrices

    def _windows(self, amounts: Any, image: Any) -> Any:
        """Widths and heights of windows in pixels, (B, 2), in an image of such a width and height, (2,)."""
        return np.maximum(np.rint(amounts[:, :2] * image), 1)

    def weaker(self, share: float) -> Self:
        """Windows that lack only a share of the area, and have proportions nearer to 1."""
        area = (share * self.area[0] + (1 - share), share * self.area[1] + (1 - share))
        return self.model_copy(update={"area": area, "ratio": toned_ratios(self.ratio, share)})
