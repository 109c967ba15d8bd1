"""Near-duplicates: files that hold the same picture resized, recompressed, brightened or slightly cropped.

They are found on the small grey thumbnails, in three steps.

1. A perceptual hash of each picture, as Zauner's (below): its 8 x 8 lowest cosine waves without the constant one. Where
   his hash keeps only the signs, here the numbers are kept, each times its frequency (the strength of the waves of a
   natural picture falls with it), at length 1. How alike two pictures look at first sight is the scalar product, so one
   matrix product compares thousands with thousands. Of each picture the enlarged middle is hashed too, which looks like
   a cropped copy.
2. Two pictures that look alike are laid over one another: shift and scale in either direction, found by least squares
   (Gauss-Newton), each picture moved by half of it.
3. They are compared place by place, in windows of 5 x 5. What counts is the share of the structure in a window that
   differs, so two scans or two pairs of trousers with the same outline are told apart by what is inside. Where a window
   holds no structure it does not count, and a picture that hardly has any is never called a near-duplicate.

Mirrored and turned copies are not looked for, nor copies that lost more than a few percent at an edge.

Reference: Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010; Lucas and Kanade, "An
Iterative Image Registration Technique with an Application to Stereo Vision", 1981.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cnnkit.doctor.base import THUMBNAIL, Finding, Patient
from cnnkit.lazy import np
from cnnkit.progress import Progress

# The figures below were chosen on one half of two collections, of flowers and of brain scans, and held against the
# other halves; scripts/measure_near_duplicates.py measures how they do.
DIFFERENT = 0.03
"""Share of the structure that may differ. Of 100 true copies 99 have up to 0.02, pictures that look alike 0.09 and
more."""

ALIKE = 0.8
"""The least scalar product of two hashes for the pictures to be compared."""

CLOSER_LOOKS = 10
"""How many comparisons there may be for each picture, and `FEW` for all; where all pictures look alike, as scans or
centred things do, only the most alike are compared, and only a quarter of DIFFERENT may differ."""

FEW = 100_000

PLAIN = 0.05
"""The least share of structure for a picture to be compared at all."""

NOISE = 8.0
"""Grey levels. What varies much less than that within a window is no structure: it may be noise of compression."""

MIDDLE = 0.955
"""Share of each side that the enlarged middle has: between a crop of 3 % in all and one of 3 % at each edge."""

MANY = 200_000
"""From that many pictures on, it is said how long comparing takes."""

HASH, WAVES, GRID, WINDOW = 8, 28, 24, 5
"""Waves in either direction of the hash and of a picture that is compared, at GRID x GRID places, by windows."""

SOFT = 12.0
"""Pictures are compared a little blurred: a wave of this number counts 0.6 (the standard deviation of a Gaussian). A
sudden end of the waves would ring beside every edge, elsewhere in a cropped picture."""

EDGE = 1.5
"""Pixels of the thumbnail that are not compared at each edge, as a crop may have taken them."""

ROWS, COLUMNS, BATCH = 512, 2048, 64
"""Pictures that are compared with pictures at a time, and pairs that are laid over one another at a time: as many as
fit into a core's memory."""

KINDS = ("near_leak", "near_contradicting", "near_duplicates")
"""What `check` may find."""

_RANK = {"train": 0, "validation": 1, "test": 2}


def check(patient: Patient, progress: Progress) -> Iterator[Finding]:
    """Groups of near-duplicates: across splits, across classes, and within a class and split.

    Exact copies alone are no group, but where a picture has a near-duplicate its exact copies are listed with it.
    """
    index, pixels, splits = patient.index, patient.pixels, patient.splits
    if pixels is None:
        return
    decoded = [i for i in range(len(index)) if i not in pixels.bad]
    groups = [
        sorted((decoded[i] for i in group), key=index.names.__getitem__)
        for group in near_duplicates(pixels.thumbnails[decoded], progress)
    ]
    groups = [group for group in groups if len({index.digests[i] for i in group}) > 1]
    torn, mixed, harmless = [], [], []
    for group in groups:
        apart = splits is not None and len({splits[i] for i in group}) > 1
        contradicting = len({int(index.labels[i]) for i in group}) > 1
        torn += [group] * apart
        mixed += [group] * contradicting
        harmless += [group] * (not apart and not contradicting)

    def named(numbers: Iterable[int]) -> tuple[str, ...]:
        return tuple(sorted(index.names[i] for i in numbers))

    if torn and splits is not None:
        given = any(split is not None for split in index.splits)
        out: list[int] = []
        for group in torn:
            # Drawn splits are drawn anew when pictures are left out, so only one can stay.
            ranked = sorted(group, key=lambda i: -_RANK[splits[i]])
            out += [i for k, i in enumerate(ranked) if (splits[i] != splits[ranked[0]] if given else k)]
        yield _finding(
            "near_leak",
            "error" if given else "warning",
            f"{_count(torn, 'lies', 'lie')} in two splits at once, so a model is judged on what it was shown",
            "leave the copies in training out, `--fix-list` names them"
            if given
            else "a random split keeps only exact copies together: leave all but one out, `--fix-list` names them",
            [named(group) for group in torn],
            named(out),
        )
    if mixed:
        yield _finding(
            "near_contradicting",
            "warning",
            f"{_count(mixed, 'lies', 'lie')} in two classes at once",
            "look at each: put the copies into the right class, or leave them out",
            [named(group) for group in mixed],
        )
    if harmless:
        yield _finding(
            "near_duplicates",
            "note",
            f"{_count(harmless, 'lies', 'lie')} within a class and split",
            "nothing needs to be done; each copy makes its picture count once more",
            [named(group) for group in harmless],
        )


def _count(groups: Sequence[Sequence[int]], one: str, many: str) -> str:
    if len(groups) == 1:
        return f"1 group of near-duplicates {one}"
    return f"{len(groups):,} groups of near-duplicates {many}"


def _finding(
    kind: str, severity: Any, message: str, advice: str, groups: list[tuple[str, ...]], out: tuple[str, ...] = ()
) -> Finding:
    groups = sorted(groups, key=lambda group: (-len(group), group))
    files = tuple(sorted(name for group in groups for name in group))
    return Finding(kind, severity, message, advice, files, tuple(groups), out)


def near_duplicates(thumbnails: Any, progress: Progress) -> list[list[int]]:
    """Finds the pictures that are the same but for size, compression, brightness or a slight crop.

    Every picture is compared with every other at first sight: seconds for 50,000, four times that for twice as many.

    Args:
        thumbnails: uint8 (images, THUMBNAIL, THUMBNAIL).
        progress: Is told how far it is.

    Returns:
        The numbers of the pictures that belong together, at least two in a group. A group is linked pair by pair: its
        first and last need not be alike.
    """
    copies: dict[bytes, list[int]] = {}  # equal thumbnails are compared once, however many they are
    for i, thumbnail in enumerate(thumbnails):
        copies.setdefault(thumbnail.tobytes(), []).append(i)
    firsts = np.asarray([numbers[0] for numbers in copies.values()], dtype=np.int64)
    pictures = list(copies.values())
    enough = [_structure(thumbnails[firsts[k : k + COLUMNS]]) >= PLAIN for k in range(0, len(firsts), COLUMNS)]
    chosen = np.flatnonzero(np.concatenate(enough)) if enough else firsts
    leader = list(range(len(pictures)))

    def lead(k: int) -> int:
        while leader[k] != k:
            leader[k] = leader[leader[k]]
            k = leader[k]
        return k

    for i, j in _pairs(thumbnails[firsts[chosen]], progress):
        leader[lead(chosen[j])] = lead(chosen[i])
    groups: dict[int, list[int]] = {}
    for k in chosen.tolist():
        groups.setdefault(lead(k), []).extend(pictures[k])
    return sorted(sorted(group) for group in groups.values() if len(group) > 1)


def _pairs(thumbnails: Any, progress: Progress) -> list[tuple[int, int]]:
    """The pairs of different thumbnails that are near-duplicates, the lower number first."""
    from threadpoolctl import threadpool_limits

    images = len(thumbnails)
    comparisons = images * (images - 1) // 2
    if not comparisons:
        return []
    hashes, middles = _hashes(thumbnails)
    least, most = _least(hashes, middles), DIFFERENT
    if least > ALIKE:
        most = DIFFERENT / 4
        progress.say("the pictures look much alike: of near-duplicates that are cropped, some may not be found")
    start = time.monotonic()

    def band(top: int) -> tuple[int, list[tuple[int, int]]]:
        rows = slice(top, top + ROWS)
        close = []
        for left in range(top, images, COLUMNS):
            columns = slice(left, left + COLUMNS)
            alike = hashes[rows] @ hashes[columns].T
            np.maximum(alike, middles[rows] @ hashes[columns].T, out=alike)
            np.maximum(alike, hashes[rows] @ middles[columns].T, out=alike)
            i, j = np.divmod(np.flatnonzero(alike >= least), alike.shape[1])
            i, j = i + top, j + left
            i, j = i[i < j], j[i < j]
            for k in range(0, len(i), BATCH):
                a, b = i[k : k + BATCH], j[k : k + BATCH]
                same = _differing(thumbnails[a], thumbnails[b]) <= most
                close += list(zip(a[same].tolist(), b[same].tolist(), strict=True))
        below = images - min(top + ROWS, images)
        return comparisons - below * (below - 1) // 2, close

    found: list[tuple[int, int]] = []
    before = 0
    # Threads of our own, each with a whole comparison, keep every core busy; those within a matrix product only
    # wait for one another here, many times as long when the machine has other work.
    with (
        progress.task("looking for near-duplicates", images) as advance,
        threadpool_limits(1, "blas"),
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        for done, close in pool.map(band, range(0, images, ROWS)):
            if images >= MANY and before < comparisons / 50 <= done:
                minutes = (time.monotonic() - start) * comparisons / done / 60
                progress.say(f"comparing {images:,} pictures with one another takes about {minutes:.1f} minutes")
            advance(images * done // comparisons - images * before // comparisons)
            before = done
            found += close
    return found


def _hashes(thumbnails: Any) -> tuple[Any, Any]:
    """The perceptual hash of each picture and of its enlarged middle, float32 (images, HASH * HASH - 1)."""
    frequency = np.hypot(*np.meshgrid(np.arange(HASH), np.arange(HASH))).astype(np.float32)
    centre = (THUMBNAIL - 1) / 2
    waves = _to_waves(THUMBNAIL)
    enlarged = _at(centre + (np.arange(THUMBNAIL) - centre) * MIDDLE, THUMBNAIL)[0] @ waves
    both = []
    for sampled in (np.eye(THUMBNAIL, dtype=np.float32), enlarged):
        analysis = (waves[:HASH] @ sampled).astype(np.float32)
        parts = [
            (analysis @ thumbnails[k : k + COLUMNS].astype(np.float32) @ analysis.T * frequency).reshape(-1, HASH**2)
            for k in range(0, len(thumbnails), COLUMNS)
        ]
        numbers = np.concatenate(parts)[:, 1:] if parts else np.zeros((0, HASH**2 - 1), np.float32)
        both.append(numbers / np.maximum(np.linalg.norm(numbers, axis=1, keepdims=True), 1e-6))
    return both[0], both[1]


def _least(hashes: Any, middles: Any) -> float:
    """How alike two pictures must look to be compared: ALIKE, or more where that would be too many pairs."""
    images = len(hashes)
    share = max(FEW, CLOSER_LOOKS * images) / max(1, images * (images - 1) / 2)
    if share >= 1:
        return ALIKE
    rows = np.unique(np.linspace(0, images - 1, max(16, 2**23 // images)).astype(np.int64))
    alike = np.maximum(hashes[rows] @ hashes.T, middles[rows] @ hashes.T)
    alike[np.arange(len(rows)), rows] = -1  # a picture with itself
    beyond = int((1 - share) * alike.size)
    return max(ALIKE, float(np.partition(alike.ravel(), beyond)[beyond]))


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


def _structure(thumbnails: Any) -> Any:
    """The share of structure in each picture, 0..1; smooth gradients, which many pictures share, are none."""
    numbers = _soft_waves(thumbnails)
    numbers[:, :3, :3] = 0
    values, _ = _at(_places()[0], WAVES)
    picture = values @ numbers @ values.T
    varies = _in_windows(picture**2) - _in_windows(picture) ** 2
    return (varies / (varies + NOISE**2)).mean((1, 2))


def _differing(a: Any, b: Any) -> Any:
    """The share of the structure in which the pictures of each pair differ, once laid over one another.

    Args:
        a: The thumbnails of one of each pair, (pairs, THUMBNAIL, THUMBNAIL).
        b: Those of the other.
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
    return (difference / (whole + noise)).sum((1, 2)) / np.maximum((whole / (whole + noise)).sum((1, 2)), 1e-6)


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
