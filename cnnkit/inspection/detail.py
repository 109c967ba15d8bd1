"""Real detail: how far pictures can be made smaller and lose nothing but noise.

An enlarged picture has more pixels and shows no more: between those that it had there is nothing but what the
enlarging put there. So the number of its pixels does not tell what a network can see in it, and this does.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from cnnkit.core.lazy import cv2, np

MOST = 384
"""Larger pictures are looked at in this size, in pixels of the shorter side: more than most networks are shown."""

SIDES = (8, 12, 16, 24, 32, 48, 64, 96, 128, 160, 192, 224, 256, 320)
"""Sizes that are tried, in pixels of the shorter side."""

NOISE = 0.1
"""A difference up to this share of the picture's own contrast (the standard deviations of grey levels) is no detail."""

LEAST, HIGHEST = 2.0, 3.5
"""Bounds of that difference in grey levels of 255: about what a strong and a usual compression as JPEG leaves."""


def detail(picture: Any) -> int:
    """The shorter side, in pixels, that a picture can be reduced to and enlarged again with no loss beyond noise.

    With the thresholds above, pictures of 32 pixels that somebody enlarged to 128 or 256 and stored as JPEG have a
    detail of 32 or 48, while photographs that were reduced to 128 or 256 have all of theirs.

    Args:
        picture: uint8 (H, W) or (H, W, C).

    Returns:
        One of `SIDES`, else the picture's own shorter side, at most `MOST`.
    """
    grey = picture if picture.ndim == 2 else picture.mean(axis=2)
    grey = _without_repeats(np.ascontiguousarray(grey, dtype=np.float32))
    side: int = min(grey.shape)
    if side > MOST:
        grey = cv2.resize(grey, _size(grey, MOST), interpolation=cv2.INTER_AREA)
        side = MOST
    allowed = min(max(NOISE * float(grey.std()), LEAST), HIGHEST)
    found = side
    for smaller in reversed([each for each in SIDES if each < side]):
        if _lost(grey, smaller) > allowed:
            break
        found = smaller
    return found


def is_enlarged(shown: int, side: int) -> bool:
    """Whether a picture of that shorter side, which shows that much detail, has twice the pixels that it needs."""
    return 2 * shown <= min(side, MOST)


def median_detail(pictures: Iterable[Any]) -> int:
    """The detail in the middle of those of some pictures, each uint8 (H, W) or (H, W, C); 0 where there are none."""
    found: Sequence[int] = [detail(picture) for picture in pictures]
    return round(statistics.median_low(found)) if found else 0


def _without_repeats(grey: Any) -> Any:
    """The picture without the rows and columns that repeat the one before, as enlarging by repetition makes them.

    Those of one colour stay: a border is no repetition.
    """
    for axis in (0, 1):
        differs = np.abs(np.diff(grey, axis=axis)).max(axis=1 - axis) > 0
        plain = np.ptp(grey, axis=1 - axis) == 0
        grey = np.compress(plain | np.concatenate([[True], differs]), grey, axis=axis)
    return np.ascontiguousarray(grey)


def _lost(grey: Any, side: int) -> float:
    """What the way through a smaller size costs, as a root mean square of grey levels."""
    small = cv2.resize(grey, _size(grey, side), interpolation=cv2.INTER_AREA)
    back = cv2.resize(small, grey.shape[::-1], interpolation=cv2.INTER_CUBIC)
    return float(np.sqrt(np.mean((grey - back) ** 2)))


def _size(grey: Any, side: int) -> tuple[int, int]:
    """Width and height with that shorter side, as OpenCV takes them."""
    height, width = grey.shape
    share = side / min(height, width)
    return max(1, round(width * share)), max(1, round(height * share))
