"""What steps share that tell an object from what is behind it."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from cnnkit.core.lazy import cv2, np
from cnnkit.data.preparation.light import grey

Foreground = Literal["light", "dark"]
"""Whether objects are light before something dark, or dark before something light."""


def foreground(image: Any, which: Foreground) -> Any:
    """The light or the dark part of a picture, by the threshold of Otsu (1979), which parts both as well as can be.

    Args:
        image: uint8 (H, W, C).
        which: The part that is wanted.

    Returns:
        uint8 (H, W): 1 in that part, else 0; 0 all over where all pixels are alike, so that there are no two parts.
    """
    light = grey(image)
    if light.min() == light.max():
        return np.zeros_like(light)
    threshold, _ = cv2.threshold(light, 0, 255, cv2.THRESH_OTSU)
    return ((light > threshold) == (which == "light")).astype(np.uint8)


class Components(NamedTuple):
    """The pieces of a foreground that hang together.

    Attributes:
        labels: int32 (H, W): 0 behind them, else the number of the piece.
        areas: int32 (pieces + 1,), in pixels; the first is that of what is behind.
        boxes: int32 (pieces + 1, 4): left, top, width and height.
    """

    labels: Any
    areas: Any
    boxes: Any


def components(binary: Any, connectivity: Literal[4, 8] = 8) -> Components:
    """Parts a foreground into the pieces that hang together.

    Args:
        binary: uint8 (H, W), not 0 in the foreground.
        connectivity: How many neighbours a pixel has: 4, or 8 with those at its corners.
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStats(binary, connectivity=connectivity)
    return Components(labels, stats[:, cv2.CC_STAT_AREA], stats[:, : cv2.CC_STAT_AREA])


def on_black(image: Any, part: Any) -> Any:
    """A picture of which only a part is left.

    Args:
        image: uint8 (H, W, C).
        part: bool (H, W), or 0 and 1; the rest becomes black.
    """
    return image * part[:, :, None].astype(np.uint8)


def cut_out(image: Any, part: Any) -> Any:
    """The same, but that a picture stays as it is where nothing would be left."""
    return on_black(image, part) if part.any() else image
