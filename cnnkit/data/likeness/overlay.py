"""Two pictures laid over one another in colour: are they one picture, or do they differ somewhere?

Both are brought to one size, the smaller one's and at most SIDE pixels, and cut to what both show: shift and scale in
either direction are found by least squares (Gauss-Newton), each picture moved by half of it. The darker is brightened
as a whole. Then they are compared window by window, and the window in which they differ most decides: another number on
a form is small.

Reference: Lucas and Kanade, "An Iterative Image Registration Technique with an Application to Stereo Vision", 1981.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from cnnkit.core.lazy import cv2, np

SIDE = 512
"""Pixels at most, in either direction, of the pictures that are compared."""

CELL = 4
"""Pixels; a window is 2 x 2 cells."""

NOISE = 10.0
"""Grey levels: differences that compression makes where there is no structure."""

BRIGHTER = 1.25
"""At most so much brighter may one picture be."""

BRIGHTNESS = 3
"""Every so many pixels across and down tell which picture is brighter."""

STEPS = (8, 4, 2, 1)
"""They are laid over one another in so many steps, each at this fraction of the size: large displacements only show in
small pictures."""

COARSE = 32
"""Pixels; no step is taken at less."""

SOFT = 1.0
"""Pixels by which both are blurred, as one may have been enlarged and be blurred already."""

HOPELESS = 10.0
"""Pictures that differ so much somewhere at half of the size, laid over one another, are not looked at in full."""


class Picture:
    """A picture that is compared with others, and what is needed of it for each of them."""

    def __init__(self, pixels: Any):
        """From uint8 (height, width, 3); what is larger than twice SIDE is brought to that."""
        from PIL import Image

        self.image = Image.fromarray(pixels)
        self.image.thumbnail((2 * SIDE, 2 * SIDE))
        self._smaller: dict[tuple[int, int], Any] = {}

    @cached_property
    def _grey(self) -> Any:
        return self.image.convert("L")

    def grey(self, size: tuple[int, int]) -> Any:
        """All of it in a size, (width, height), in grey and blurred: float32 (height, width)."""
        if size not in self._smaller:
            from PIL import Image

            whole = np.asarray(self._grey.resize(size, Image.Resampling.BILINEAR), np.float32)
            self._smaller[size] = cv2.GaussianBlur(whole, (0, 0), SOFT)
        return self._smaller[size]

    def colours(self, size: tuple[int, int], box: Any) -> Any:
        """What is in a box, given in shares of its sides, in a size and blurred: float32 (height, width, 3)."""
        from PIL import Image

        (left, top, right, bottom), (width, height) = box, self.image.size
        inside = left * width, top * height, right * width, bottom * height
        part = np.asarray(self.image.resize(size, Image.Resampling.BILINEAR, box=inside))
        return cv2.GaussianBlur(part, (0, 0), SOFT).astype(np.float32)


def difference(one: Picture, other: Picture, move: Any) -> float:
    """How much two pictures differ where they differ most, as a share of the structure there.

    Args:
        one: A picture.
        other: Another.
        move: Where the search starts: shift and stretch to the right, shift and stretch down, of `other` against
            `one`, as shares of the side; a stretch is that at the right and the lower edge.
    """
    size = min(one.image.width, other.image.width, SIDE), min(one.image.height, other.image.height, SIDE)
    move, half = np.asarray(move, np.float64), size
    for step in STEPS:
        smaller = max(size[0] // step, min(size[0], COARSE)), max(size[1] // step, min(size[1], COARSE))
        if (
            step == 1
            and min(half) >= 2 * COARSE
            and (coarse := _differing(*_placed(one, other, half, move))) > HOPELESS
        ):
            return coarse
        move = move + _remaining(*_placed(one, other, smaller, move))
        half = smaller
    return _differing(*(each.colours(size, box) for each, box in zip((one, other), _boxes(move), strict=True)))


def _boxes(move: Any) -> list[list[float]]:
    """What both show, as left, top, right and bottom in either, shares of its sides."""
    boxes = np.zeros((2, 4))
    for axis, (shift, stretch) in enumerate(((move[0], move[1]), (move[2], move[3]))):
        # A place x of the middle picture, 0..1, is at `start + scale * x` in either.
        lines = [(sign * (shift - stretch) / 2, 1 + sign * stretch) for sign in (1, -1)]
        low = max(-start / scale for start, scale in lines)
        high = min((1 - start) / scale for start, scale in lines)
        low, high = max(low, 0.0), min(high, 1.0)
        for box, (start, scale) in zip(boxes, lines, strict=True):
            box[axis] = min(max(start + scale * low, 0.0), 1.0)
            box[axis + 2] = min(max(start + scale * high, 0.0), 1.0)
    return [[float(side) for side in box] for box in boxes]


def _placed(one: Picture, other: Picture, size: tuple[int, int], move: Any) -> tuple[Any, Any]:
    """What both show, in grey, in a size: float32 (height, width) each."""
    a, b = (_cut(each.grey(size), box) for each, box in zip((one, other), _boxes(move), strict=True))
    return a, b


def _cut(picture: Any, box: list[float]) -> Any:
    """What is in a box of a grey picture, in the size that the picture has."""
    height, width = picture.shape
    left, top, right, bottom = box
    across, down = right - left, bottom - top
    # From the middle of a pixel of the result to the place in the picture, counted from the middle of its first.
    places = [[across, 0, left * width + (across - 1) / 2], [0, down, top * height + (down - 1) / 2]]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(picture, np.asarray(places), (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _remaining(a: Any, b: Any) -> Any:
    """Shift and stretch of grey picture b against a, to the first order."""
    height, width = a.shape
    a, b = ((picture - picture.mean()) / max(float(picture.std()), 1e-6) for picture in (a, b))
    middle = (a + b) / 2
    right, down = (cv2.Sobel(middle, -1, *way, ksize=1, scale=0.5) for way in ((1, 0), (0, 1)))
    off_right = (np.arange(width, dtype=np.float32) * 2 + 1) / width - 1
    off_down = ((np.arange(height, dtype=np.float32) * 2 + 1) / height - 1)[:, None]
    slopes = np.stack([right, right * off_right, down, down * off_down]).reshape(4, -1)
    normal = slopes @ slopes.T
    normal += np.eye(4, dtype=np.float32) * (np.trace(normal) / 4000 + 1e-6)
    move = np.linalg.solve(normal, slopes @ (b - a).ravel())
    return np.clip(move, -2, 2) / (width, width, height, height)


def _differing(a: Any, b: Any) -> float:
    """How much two pictures differ in the window where they differ most; float32 (height, width), or with channels."""
    a, b = _equally_bright(a, b)
    squares = _in_windows((a - b) ** 2)
    structure = sum(_in_windows(each**2) - (_in_windows(each, False) ** 2).mean(2) for each in (a, b)) / 2
    return float((squares / (structure + NOISE**2)).max())


def _equally_bright(a: Any, b: Any) -> tuple[Any, Any]:
    """The pictures, the darker one brightened as far as white."""
    some_a, some_b = a[::BRIGHTNESS, ::BRIGHTNESS], b[::BRIGHTNESS, ::BRIGHTNESS]
    inside = (np.maximum(some_a, some_b) < 250) & (np.minimum(some_a, some_b) > 5)  # what white has not cut off
    if inside.mean() < 0.001:
        return a, b
    gain = float(np.median(some_b[inside] / some_a[inside]))
    if gain >= 1:
        return np.minimum(a * min(gain, BRIGHTER), 255), b
    return a, np.minimum(b * min(1 / gain, BRIGHTER), 255)


def _in_windows(values: Any, over_channels: bool = True) -> Any:
    """The mean of each window of 2 x 2 cells, by half a window overlapping; of all channels together, or of each."""
    rows, columns = values.shape[0] // CELL, values.shape[1] // CELL
    whole = np.ascontiguousarray(values[: rows * CELL, : columns * CELL])
    cells = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA).reshape(rows, columns, -1)
    if over_channels:
        cells = cells.mean(2)
    return (cells[:-1, :-1] + cells[1:, :-1] + cells[:-1, 1:] + cells[1:, 1:]) / 4
