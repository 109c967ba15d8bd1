"""CutMix: a part of another image (Yun et al. 2019, arXiv:1905.04899)."""

from __future__ import annotations

from typing import Any, Literal

from cnnkit.core.lazy import np
from cnnkit.core.spec import Positive
from cnnkit.data.augmentations.base import Mixing


class CutMix(Mixing):
    """Puts a box of another image over the same place of an image, and mixes their labels as the pixels are."""

    chances = 3
    says = "cutmix, a box of up to {0:.0%}"

    name: Literal["cutmix"] = "cutmix"
    alpha: Positive = 1.0
    """Both parameters of the Beta distribution of the box's area: 1 makes every area as likely, small ones nearly none
    and nearly all of the image."""

    def amounts(self, chance: Any) -> Any:
        """The area of the box as a fraction of the image's, and its middle: 0 left or top, 1 right or bottom."""
        from scipy.special import betaincinv

        return np.concatenate([betaincinv(self.alpha, self.alpha, chance[:, :1]), chance[:, 1:]], axis=1)

    def told(self, amount: Any, image: Any) -> str:
        """The area of the box, of which the border of the image may cut off something."""
        height, width, _ = image.shape
        columns, rows = np.rint(np.sqrt(amount[0]) * np.array([width, height]))
        return super().told(np.array([columns * rows / (height * width)]), image)

    def __call__(self, images: Any, partners: Any, amounts: Any) -> tuple[Any, Any]:
        """Boxes of whole pixels, cut off at the border; the pixels that are left are counted."""
        height, width = images.shape[1:3]
        sizes = np.array([width, height])
        boxes = np.rint(np.sqrt(amounts[:, :1]) * sizes)
        first = np.floor(amounts[:, 1:] * sizes) - boxes // 2
        first, last = np.clip(first, 0, sizes).astype(int), np.clip(first + boxes, 0, sizes).astype(int)
        mixed = images.copy()
        for i, ((left, top), (right, bottom)) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
            mixed[i, top:bottom, left:right] = partners[i, top:bottom, left:right]
        return mixed, 1 - (last - first).prod(axis=1) / (height * width)
