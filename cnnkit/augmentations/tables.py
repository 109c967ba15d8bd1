"""What the augmentations of single pixels share: tables from 256 values to 256 values."""

from __future__ import annotations

from typing import Any

from cnnkit.lazy import cv2, np


def through(image: Any, table: Any) -> Any:
    """Each value of an image looked up in a table.

    Args:
        image: uint8 (H, W, C).
        table: float (256,), rounded and cut off at 0 and 255 here.

    Returns:
        uint8 (H, W, C).
    """
    return cv2.LUT(image, rounded(table)).reshape(image.shape)


def rounded(values: Any) -> Any:
    """The nearest values in 0..255, as uint8."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
