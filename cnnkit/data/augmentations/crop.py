"""Crops of padded images (He et al. 2016, arXiv:1512.03385, section 4.2)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from cnnkit.data.augmentations.base import Fill, Moving, Size, moves


class Crop(Moving):
    """Pads the image on all sides, then cuts a window of its size out of it, at any place.

    As it is usual for CIFAR: 4 pixels of 32 are a fraction of 0.125. The size of things stays; where a smaller window
    should be brought to size, use random_resized_crop.
    """

    chances = 2
    says = "crop {0:+.0%}, {1:+.0%}"  # the window, from the middle to the right and down

    name: Literal["crop"] = "crop"
    fraction: Annotated[float, Field(ge=0, le=0.5)] = 0.125
    """Padding on each side, as a fraction of the width and of the height."""
    fill: Fill = "black"
    """What it is padded with: the pixels of the edge again, black, or the mirror image."""

    def matrices(self, amounts: Any, size: Size) -> Any:
        """The image moves against the window, by whole pixels."""
        return moves(-amounts, self.fraction, size)
