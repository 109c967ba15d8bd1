"""From the numbers of an array to grey levels: which range they are in, and how they come to uint8 in 0..255."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cnnkit.core.errors import DataError
from cnnkit.core.lazy import np

BLOCK = 2**24
"""So many numbers are looked at at once, so that an array larger than memory can be read from its file."""

SLACK = 1e-3
"""By how much floats may leave 0..1, as they do after resizing."""


@dataclass(frozen=True)
class PixelRange:
    """How the numbers of some images are read.

    Attributes:
        taken_for: What they were taken for, in words; empty where there is no question.
        convert: From the numbers of an image to uint8.
    """

    taken_for: str
    convert: Callable[[Any], Any]


def pixel_range(stacks: Sequence[Any], name: Callable[[int, int], str]) -> PixelRange:
    """The range that all images are in.

    Args:
        stacks: Arrays (n, ...) of images, all of one type.
        name: What image number j of stack i is called.

    Raises:
        DataError: They are in none that could be meant; with the first image that is not.
    """
    dtype = stacks[0].dtype
    if dtype.kind == "b":
        return PixelRange("", lambda image: np.where(image, np.uint8(255), np.uint8(0)))
    if dtype == np.uint8:
        return PixelRange("", np.asarray)
    if dtype.kind not in "iuf":
        raise DataError(f"{name(0, 0)} is of the type {dtype}; images should be whole numbers, floats or bool")
    low, high = _extremes(stacks, name)
    there = f"{dtype} from {low:g} to {high:g}"
    if dtype.kind in "iu":
        if dtype == np.uint16 and high > 255:
            return PixelRange(f"{there}: taken for 16 bits, 0..65535", lambda image: _levels(image / 257))
        _hold(stacks, name, 0, 255, f"whole numbers should be in 0..255 (or uint16); these are {there}")
        dark = "; they are all but black: if 1 means white, save them as bool" if high <= 1 else ""
        return PixelRange(f"{there}: taken as they are, for 0..255{dark}", lambda image: image.astype(np.uint8))
    if high <= 1 + SLACK:
        negative = "; what is in -1..1 comes to 0..1 with (images + 1) / 2"
        _hold(stacks, name, -SLACK, 1 + SLACK, f"floats should be in 0..1 or 0..255; these are {there}{negative}")
        return PixelRange(f"{there}: taken for 0..1, black to white", lambda image: _levels(image * 255.0))
    if high < 2:
        raise DataError(f"{name(0, 0)} and the others are {there}: neither 0..1 nor 0..255; bring them to one of these")
    _hold(stacks, name, -0.5, 255.5, f"floats should be in 0..1 or 0..255; these are {there}")
    return PixelRange(f"{there}: taken for 0..255, and rounded", _levels)


def _levels(numbers: Any) -> Any:
    return np.clip(np.rint(numbers), 0, 255).astype(np.uint8)


def _extremes(stacks: Sequence[Any], name: Callable[[int, int], str]) -> tuple[float, float]:
    lowest, highest = [], []
    for i, start, block in _blocks(stacks):
        low, high = block.min(), block.max()
        if not (np.isfinite(low) and np.isfinite(high)):  # NaN is the least and the greatest where there is one
            finite = np.isfinite(block).reshape(len(block), -1).all(axis=1)
            raise DataError(
                f"{name(i, start + int((~finite).argmax()))} holds a value that is no number (NaN or infinity)"
            )
        lowest.append(low)
        highest.append(high)
    return min(lowest), max(highest)


def _hold(stacks: Sequence[Any], name: Callable[[int, int], str], low: float, high: float, wrong: str) -> None:
    """Raises a `DataError` with the first image that leaves a range."""
    for i, start, block in _blocks(stacks):
        outside = (block < low) | (block > high)
        if outside.any():
            first = int(outside.reshape(len(block), -1).any(axis=1).argmax())
            value = block[first][outside[first]][0]
            raise DataError(f"{name(i, start + first)} holds {value:g}; {wrong}")


def _blocks(stacks: Sequence[Any]) -> Iterator[tuple[int, int, Any]]:
    """Number of the stack, number of the first image in it, and some images."""
    for i, stack in enumerate(stacks):
        images = max(1, BLOCK // stack[0].size)
        for start in range(0, len(stack), images):
            yield i, start, np.asarray(stack[start : start + images])
