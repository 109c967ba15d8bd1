"""Thumbnails compared: how alike pictures look at first sight, and in how much two differ, laid over one another.

At first sight it is a perceptual hash, as Zauner's (below): the 8 x 8 lowest cosine waves of a picture without the
constant one. Where his hash keeps only the signs, here the numbers are kept, each times its frequency (the strength of
the waves of a natural picture falls with it), at length 1. How alike two pictures look is the scalar product, so one
matrix product compares thousands with thousands.

A closer look lays two pictures over one another: shift and scale in either direction, found by least squares
(Gauss-Newton), each picture moved by half of it. They are compared place by place, in windows of 5 x 5. What counts is
the share of the structure in a window that differs, so two scans or two pairs of trousers with the same outline are
told apart by what is inside. Where a window holds no structure it does not count.

Reference: Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010; Lucas and Kanade, "An
Iterative Image Registration Technique with an Application to Stereo Vision", 1981.
"""

from __future__ import annotations

from typing import Any

from cnnkit.core.lazy import np
from cnnkit.data.likeness.pixels import THUMBNAIL

NOISE = 8.0
"""Grey levels. What varies much less than that within a window is no structure: it may be noise of compression."""

MIDDLE = 0.955
"""Share of each side that the enlarged middle has: between a crop of 3 % in all and one of 3 % at each edge."""

HASH, WAVES, GRID, WINDOW = 8, 28, 24, 5
"""Waves in either direction of the hash and of a picture that is compared, at GRID x GRID places, by windows."""

SOFT = 12.0
"""Pictures are compared a little blurred: a wave of this number counts 0.6 (the standard deviation of a Gaussian). A
sudden end of the waves would ring beside every edge, elsewhere in a cropped picture."""

EDGE = 1.5
"""Pixels of the thumbnail that are not compared at each edge, as a crop may have taken them."""

_AT_ONCE = 2048
"""Pictures that are hashed at a time."""


def hashes(thumbnails: Any) -> tuple[Any, Any]:
    """The perceptual hash of each picture and of its enlarged middle, float32 (images, HASH * HASH - 1)."""
    frequency = np.hypot(*np.meshgrid(np.arange(HASH), np.arange(HASH))).astype(np.float32)
    centre = (THUMBNAIL - 1) / 2
    waves = _to_waves(THUMBNAIL)
    enlarged = _at(centre + (np.arange(THUMBNAIL) - centre) * MIDDLE, THUMBNAIL)[0] @ waves
    both = []
    for sampled in (np.eye(THUMBNAIL, dtype=np.float32), enlarged):
        analysis = (waves[:HASH] @ sampled).astype(np.float32)
        parts = [
            (analysis @ thumbnails[k : k + _AT_ONCE].astype(np.float32) @ analysis.T * frequency).reshape(-1, HASH**2)
            for k in range(0, len(thumbnails), _AT_ONCE)
        ]
        numbers = np.concatenate(parts)[:, 1:] if parts else np.zeros((0, HASH**2 - 1), np.float32)
        both.append(numbers / np.maximum(np.linalg.norm(numbers, axis=1, keepdims=True), 1e-6))
    return both[0], both[1]


def _to_waves(count: int) -> Any:
    """The matrix (count, THUMBNAIL) that takes a row of a thumbnail apart into cosine waves (DCT-II)."""
    wave = np.arange(count)[:, None]
    basis = np.cos(np.pi / THUMBNAIL * wave * (np.arange(THUMBNAIL) + 0.5))
    return (basis * np.where(wave == 0, 1, 2) / THUMBNAIL).astype(np.float32)


def _soft_waves(thumbnails: Any) -> Any:
    """The pictures, a little blurred, by their waves: float32 (images, WAVES, WAVES)."""
    waves = _to_waves(WAVES) * np.exp(-((np.arange(WAVES, dtype=np.float32)[:, None] / SOFT) ** 2) / 2)
    return waves @ thumbnails.astype(np.float32) @ waves.T


def _at(places: Any, count: int) -> tuple[Any, Any]:
    """The matrices (..., places, count) that sum waves up: to the values at some places, and to the slopes there."""
    wave = np.arange(count, dtype=np.float32) * np.float32(np.pi / THUMBNAIL)
    phase = (places[..., None].astype(np.float32) + np.float32(0.5)) * wave
    return np.cos(phase), -np.sin(phase) * wave


def _places() -> tuple[Any, Any]:
    """Where pictures are compared, in pixels of the thumbnail, and as the distance from the middle, -1..1."""
    places = np.linspace(EDGE, THUMBNAIL - 1 - EDGE, GRID, dtype=np.float32)
    return places, (places * 2 - (THUMBNAIL - 1)) / THUMBNAIL


def _in_windows(values: Any) -> Any:
    """The mean of each window of WINDOW x WINDOW places."""
    windows = GRID - WINDOW + 1
    inside = np.arange(GRID) - np.arange(windows)[:, None]
    mean = ((inside >= 0) & (inside < WINDOW)).astype(np.float32) / WINDOW
    return mean @ values @ mean.T


def structure(thumbnails: Any) -> Any:
    """The share of structure in each picture, 0..1; smooth gradients, which many pictures share, are none."""
    numbers = _soft_waves(thumbnails)
    numbers[:, :3, :3] = 0
    values, _ = _at(_places()[0], WAVES)
    picture = values @ numbers @ values.T
    varies = _in_windows(picture**2) - _in_windows(picture) ** 2
    return (varies / (varies + NOISE**2)).mean((1, 2))


def differing(a: Any, b: Any) -> tuple[Any, Any]:
    """The share of the structure in which the pictures of each pair differ, once laid over one another.

    Args:
        a: The thumbnails of one of each pair, (pairs, THUMBNAIL, THUMBNAIL).
        b: Those of the other.

    Returns:
        That share, (pairs,); and how they lie, (pairs, 4): shift and stretch to the right, shift and stretch down, of b
        against a, as shares of the side; the stretch is the shift that it makes at the right and the lower edge.
    """
    pairs = len(a)
    waves_a, waves_b = _soft_waves(a), _soft_waves(b)
    places, off = _places()
    moved = np.zeros((pairs, 4), np.float32)  # shift and stretch, to the right and down, of b against a
    for _ in range(2):
        (one, right_a, down_a), (other, right_b, down_b) = (
            _moved(numbers, places, off, moved * half) for numbers, half in ((waves_a, 0.5), (waves_b, -0.5))
        )
        one, spread_a = _normalised(one)
        other, spread_b = _normalised(other)
        right = (right_a / spread_a + right_b / spread_b) / 2
        down = (down_a / spread_a + down_b / spread_b) / 2
        slopes = np.stack([right, right * off, down, down * off[:, None]], 1).reshape(pairs, 4, -1)
        slopes -= slopes.mean(2, keepdims=True)
        normal = slopes @ slopes.swapaxes(1, 2)
        # A little of the identity, for pictures with structure in one direction only.
        normal += np.eye(4, dtype=np.float32) * (np.trace(normal, axis1=1, axis2=2)[:, None, None] / 4000)
        moved += np.linalg.solve(normal, slopes @ (other - one).reshape(pairs, -1, 1))[..., 0]
        moved = np.clip(moved, -2.5, 2.5)
    (one, spread_a), (other, spread_b) = (
        _normalised(_moved(numbers, places, off, moved * half)[0])
        for numbers, half in ((waves_a, 0.5), (waves_b, -0.5))
    )
    spread = np.sqrt(spread_a * spread_b)
    one, other = one * spread, other * spread
    mean_a, mean_b = _in_windows(one), _in_windows(other)
    noise = 2 * NOISE**2
    whole = _in_windows(one**2 + other**2) - mean_a**2 - mean_b**2
    difference = _in_windows((one - other) ** 2) - (mean_a - mean_b) ** 2
    share = (difference / (whole + noise)).sum((1, 2)) / np.maximum((whole / (whole + noise)).sum((1, 2)), 1e-6)
    return share, moved / THUMBNAIL


def _moved(numbers: Any, places: Any, off: Any, move: Any) -> tuple[Any, Any, Any]:
    """Pictures given by their waves, moved: values, slopes to the right and slopes down at each place."""
    right, right_slope = _at(places + move[:, :1] + move[:, 1:2] * off, WAVES)
    down, down_slope = _at(places + move[:, 2:3] + move[:, 3:] * off, WAVES)
    right, right_slope = right.swapaxes(1, 2), right_slope.swapaxes(1, 2)
    rows = down @ numbers
    return rows @ right, rows @ right_slope, down_slope @ (numbers @ right)


def _normalised(values: Any) -> tuple[Any, Any]:
    """Pictures with mean 0 and standard deviation 1, and the deviation they had."""
    values = values - values.mean((1, 2), keepdims=True)
    spread = np.maximum(np.sqrt((values**2).mean((1, 2), keepdims=True)), 1e-6)
    return values / spread, spread
