"""What steps share that work on how light a picture is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnkit.core.lazy import cv2, np


def grey(image: Any) -> Any:
    """The grey of a picture: 0.299 red + 0.587 green + 0.114 blue (ITU-R BT.601), or its only channel.

    Args:
        image: uint8 (H, W, 1) or (H, W, 3).

    Returns:
        uint8 (H, W).
    """
    return image[:, :, 0] if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def on_lightness(image: Any, change: Callable[[Any], Any]) -> Any:
    """Changes a grey picture, or the lightness (L of CIELAB, of sRGB) of one in colour.

    Only what changes of the lightness is rounded to 8 bits, so a pixel whose lightness stays is the same to the bit.

    Args:
        image: uint8 (H, W, 1) or (H, W, 3).
        change: From uint8 (H, W) to such; a lightness of 0..100 is 0..255 there.
    """
    if image.shape[2] == 1:
        return change(image[:, :, 0])[:, :, None]
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    light = np.rint(lab[:, :, 0] * (255 / 100)).astype(np.uint8)
    more = change(light).astype(np.float32) - light
    lab[:, :, 0] += more * (100 / 255)
    changed = np.rint(255 * cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)).clip(0, 255).astype(np.uint8)
    return np.where(more[:, :, None] == 0, image, changed)
