"""What the augmentations of single pixels share: values from values."""

from __future__ import annotations

from typing import Any

from cnnkit.core.lazy import cv2, np


def through(image: Any, table: Any) -> Any:
    """Each value of an image looked up in a table.

    Args:
        image: uint8 (H, W, C).
        table: float (256,), or (256, C) with one for each channel; rounded and cut off at 0 and 255 here.

    Returns:
        uint8 (H, W, C).
    """
    table = np.clip(np.rint(table), 0, 255).astype(np.uint8)
    return cv2.LUT(image, table if table.ndim == 1 else table[None]).reshape(image.shape)


def linear(image: Any, factor: float, summand: float) -> Any:
    """Each value times a factor, and something added: rounded and cut off at 0 and 255, uint8 (H, W, C)."""
    return blended(image, image, factor, 0.0, summand)


def blended(image: Any, other: Any, share: float, other_share: float, summand: float = 0.0) -> Any:
    """The weighted sum of two images, rounded and cut off at 0 and 255.

    Args:
        image: uint8 (H, W, C).
        other: uint8 (H, W, C).
        share: Weight of the image.
        other_share: Weight of the other.
        summand: Added to it.

    Returns:
        uint8 (H, W, C).
    """
    return cv2.addWeighted(image, share, other, other_share, summand).reshape(image.shape)


GREY = (0.299, 0.587, 0.114)
"""How much red, green and blue are in grey (ITU-R BT.601)."""
