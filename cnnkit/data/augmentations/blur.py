"""Blurred images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.lazy import cv2, np
from cnnkit.core.text import by
from cnnkit.data.augmentations.base import Pixelwise

_SMALL = 0.5
"""Of a pixel: a narrower Gaussian falls between the pixels (with 0.2 nothing is blurred), so that three numbers of its
standard deviation take its place."""


class RandomBlur(Pixelwise):
    """Blurs the image as if it were out of focus, with a Gaussian."""

    says = "blur {0:.1%}"

    name: Literal["blur"] = "blur"
    fraction: Annotated[float, Field(ge=0, le=0.1)] = 0.02
    """Largest standard deviation of the Gaussian, as a fraction of the shorter side; 0.02 of 128 pixels is 2.56."""

    def odd_amounts(self, given: Given) -> Iterator[Problem]:
        """A Gaussian that stays within a pixel, and one that leaves patches."""
        sigma = self.fraction * min(given.shape[:2])
        if 0 < sigma < 0.2:
            size = by(given.shape[:2])
            message = f"is {sigma:.2g} pixels of {size}, too narrow to reach the next one; 0.01 to 0.03 is usual"
            yield Problem(message, key="fraction")
        if self.fraction > 0.06:
            message = "leaves patches of light and dark of some images; 0.01 to 0.03 is usual"
            yield Problem(message, key="fraction")

    def amounts(self, chance: Any) -> Any:
        """The standard deviation, as a fraction of the shorter side."""
        return self.fraction * chance

    def __call__(self, image: Any, amount: Any) -> Any:
        """Convolves; the image goes on as its mirror image outside."""
        sigma = amount[0] * min(image.shape[:2])
        if sigma < _SMALL:
            kernel = np.array([sigma**2 / 2, 1 - sigma**2, sigma**2 / 2])
            return cv2.sepFilter2D(image, -1, kernel, kernel).reshape(image.shape)
        return cv2.GaussianBlur(image, (0, 0), sigma).reshape(image.shape)
