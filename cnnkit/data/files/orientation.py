"""Which way up a picture is stored, in EXIF's numbers: 1 is upright, the others are turned or mirrored or both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnkit.core.lazy import np

ON_ITS_SIDE = (5, 6, 7, 8)
"""Orientations in which width and height change places."""

_ORIENTATION = 0x0112
"""EXIF's tag of the orientation."""


def orientation_of(image: Any) -> int:
    """The EXIF orientation of a `PIL.Image.Image`; upright where it tells none."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # notes beside the pixels, which may be damaged in any way and do not make a picture bad
        return 1


def turned(pixels: Any, orientation: int) -> Any:
    """Turns an array (H, W, ...) upright, as EXIF's number says; what is no such number changes nothing."""
    turn = _TURNS.get(orientation)
    return np.ascontiguousarray(turn(pixels)) if turn else pixels


_TURNS: dict[int, Callable[[Any], Any]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: np.rot90(pixels),
}
"""From EXIF's orientation to what turns a picture upright."""
