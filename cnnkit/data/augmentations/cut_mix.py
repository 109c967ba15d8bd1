"""CutMix: a part of another image (Yun et al. 2019, arXiv:1905.04899)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
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

    def odd_amounts(self, given: Given) -> Iterator[Problem]:
        """Boxes that are nothing or all of the image, and such that are always half of it."""
        if self.alpha < 0.02:
            yield Problem("leaves nearly every image alone, or takes another instead; 1 is usual", key="alpha")
        if self.alpha > 10:
            yield Problem("makes nearly all boxes half of the image; 1 is usual", key="alpha")

    def amounts(self, chance: Any) -> Any:
        """The area of the box as a fraction of the image's, and its middle: 0 left or top, 1 right or bottom."""
        from scipy.special import betaincinv

        return np.concatenate([betaincinv(self.alpha, self.alpha, chance[:, :1]), chance[:, 1:]], axis=1)

    def effect(self, amount: Any, image: Any) -> Any:
        """The area of the box, of which the border of the image may cut off something."""
        size = image.shape[1::-1]
        return np.rint(np.sqrt(amount[:1]) * size).prod(keepdims=True) / np.prod(size)

    def __call__(self, images: Any, partners: Any, amounts: Any) -> tuple[Any, Any]:
        """Boxes of whole pixels, cut off at the border; the pixels that are left are counted."""
        size = images.shape[2:0:-1]
        boxes = np.rint(np.sqrt(amounts[:, :1]) * size)
        first = np.floor(amounts[:, 1:] * size) - boxes // 2
        first, last = np.clip(first, 0, size).astype(int), np.clip(first + boxes, 0, size).astype(int)
        mixed = images.copy()
        for i, ((left, top), (right, bottom)) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
            mixed[i, top:bottom, left:right] = partners[i, top:bottom, left:right]
        return mixed, 1 - (last - first).prod(axis=1) / np.prod(size)
