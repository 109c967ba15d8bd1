"""Two pictures laid over one another in colour: are they one picture, or do they differ somewhere?

Both are brought to one size, the smaller one's and at most SIDE pixels, and cut to what both show: shift and scale in
either direction are found by least squares (Gauss-Newton), each picture moved by half of it. The darker is brightened
as a whole. Then they are compared window by window, and the window in which they differ most decides: another number on
a form is small.

Reference: Lucas and Kanade, "An Iterative Image Registration Technique with an Application to Stereo Vision", 1981.
"""

from __future__ import annotations

from typing import Any

from cnnkit.core.lazy import np

SIDE = 512
"""Pixels at most, in either direction, of the pictures that are compared."""

CELL = 4
"""Pixels; a window is 2 x 2 cells."""

NOISE = 10.0
"""Grey levels: differences that compression makes where there is no structure."""

BRIGHTER = 1.25
"""At most so much brighter may one picture be."""

STEPS = (8, 4, 2, 1, 1)
"""They are laid over one another in so many steps, each at this fraction of the size: large displacements only show in
small pictures."""

COARSE = 32
"""Pixels; no step is taken at less."""

SOFT = 1.0
"""Pixels by which both are blurred, as one may have been enlarged and be blurred already."""


def difference(one: Any, other: Any, move: Any) -> float:
    """How much two pictures differ where they differ most, as a share of the structure there.

    Args:
        one: A `PIL.Image.Image`, RGB.
        other: Another.
        move: Where the search starts: shift and stretch to the right, shift and stretch down, of `other` against
            `one`, as shares of the side; a stretch is that at the right and the lower edge.
    """
    size = min(one.width, other.width, SIDE), min(one.height, other.height, SIDE)
    move = np.asarray(move, np.float64)
    for step in STEPS:
        smaller = max(size[0] // step, min(size[0], COARSE)), max(size[1] // step, min(size[1], COARSE))
        a, b = (pixels.mean(2) for pixels in _overlaid(one, other, move, smaller))
        move = move + _remaining(a, b)
    a, b = _overlaid(one, other, move, size)
    a, b = _equally_bright(a, b)
    squares = _in_windows(((a - b) ** 2).mean(2))
    structure = sum(_in_windows((picture**2).mean(2)) - (_in_windows(picture) ** 2).mean(2) for picture in (a, b)) / 2
    return float((squares / (structure + NOISE**2)).max())


def _overlaid(one: Any, other: Any, move: Any, size: tuple[int, int]) -> tuple[Any, Any]:
    """What both pictures show, float32 (height, width, 3) of each."""
    from PIL import Image, ImageFilter

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
    both = []
    for picture, (left, top, right, bottom) in zip((one, other), boxes.tolist(), strict=True):
        box = left * picture.width, top * picture.height, right * picture.width, bottom * picture.height
        common = picture.resize(size, Image.Resampling.BILINEAR, box=box).filter(ImageFilter.GaussianBlur(SOFT))
        both.append(np.asarray(common, np.float32))
    return both[0], both[1]


def _remaining(a: Any, b: Any) -> Any:
    """Shift and stretch of grey picture b against a, to the first order."""
    height, width = a.shape
    a, b = ((picture - picture.mean()) / max(float(picture.std()), 1e-6) for picture in (a, b))
    down, right = np.gradient((a + b) / 2)
    off_right = (np.arange(width, dtype=np.float32) * 2 + 1) / width - 1
    off_down = ((np.arange(height, dtype=np.float32) * 2 + 1) / height - 1)[:, None]
    slopes = np.stack([right, right * off_right, down, down * off_down]).reshape(4, -1)
    normal = slopes @ slopes.T
    normal += np.eye(4, dtype=np.float32) * (np.trace(normal) / 4000 + 1e-6)
    move = np.linalg.solve(normal, slopes @ (b - a).ravel())
    return np.clip(move, -2, 2) / (width, width, height, height)


def _equally_bright(a: Any, b: Any) -> tuple[Any, Any]:
    """The pictures, the darker one brightened as far as white."""
    inside = (np.maximum(a, b) < 250) & (np.minimum(a, b) > 5)  # what white has not cut off
    if inside.mean() < 0.001:
        return a, b
    gain = float(np.median(b[inside] / a[inside]))
    if gain >= 1:
        return np.minimum(a * min(gain, BRIGHTER), 255), b
    return a, np.minimum(b * min(1 / gain, BRIGHTER), 255)


def _in_windows(values: Any) -> Any:
    """The mean of each window of 2 x 2 cells, by half a window overlapping."""
    rows, columns = values.shape[0] // CELL, values.shape[1] // CELL
    cells = values[: rows * CELL, : columns * CELL].reshape(rows, CELL, columns, CELL, -1).mean((1, 3))
    mean = (cells[:-1, :-1] + cells[1:, :-1] + cells[:-1, 1:] + cells[1:, 1:]) / 4
    return mean[..., 0] if values.ndim == 2 else mean
