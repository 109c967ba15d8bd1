"""Near-duplicates: files that hold the same picture resized, recompressed, brightened or slightly cropped.

They are found in three steps.

1. The small grey thumbnails of all pictures are compared with one another at first sight, by a perceptual hash. Of each
   picture the enlarged middle is hashed too, which looks like a cropped copy.
2. Thumbnails that look alike are laid over one another and compared (`thumbnails`).
3. What then still seems to be the same is decoded again, laid over one another in colour and larger, and must not
   differ anywhere (`overlay`): forms with other numbers and icons in other colours have nearly the same thumbnail.

Pictures that lie close together are no chain: each of a group is the same as one of it, the first. Pictures with a side
under 32 pixels are not compared, as so few pixels can't tell a copy from something much alike; a picture that hardly
has any structure is never called a near-duplicate. Mirrored and turned copies are not looked for, nor copies that lost
more than a few percent at an edge; a screenshot that was brightened or cropped may go unnoticed among others.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

from cnnkit.core.lazy import np
from cnnkit.core.machine import cores
from cnnkit.core.progress import Progress
from cnnkit.data.index import Index
from cnnkit.data.likeness import thumbnails
from cnnkit.data.likeness.confirming import confirmed, still_there
from cnnkit.data.likeness.pixels import THUMBNAIL

# The figures below were chosen on one half of two collections, of flowers and of brain scans, and held against the
# other halves; scripts/measure_near_duplicates.py measures how they do.
DIFFERENT = 0.03
"""Share of the structure of thumbnails that may differ. Of 100 true copies 99 have up to 0.02, pictures that look alike
0.09 and more."""

ALIKE = 0.8
"""The least scalar product of two hashes for the thumbnails to be compared."""

CLOSER_LOOKS = 10
"""How many comparisons there may be for each picture, and `FEW` for all; where all pictures look alike, as scans or
centred things do, only the most alike are compared, and only a quarter of DIFFERENT may differ."""

FEW = 100_000

PLAIN = 0.05
"""The least share of structure for a picture to be compared at all."""

MANY = 200_000
"""From that many pictures on, it is said how long comparing takes."""

ROWS, COLUMNS, BATCH = 512, 2048, 64
"""Pictures that are compared with pictures at a time, and pairs that are laid over one another at a time: as many as
fit into a core's memory."""


class Found(NamedTuple):
    """The near-duplicates of a collection.

    Attributes:
        groups: The numbers of the pictures that belong together, exact copies with them. Each is the same as the first.
        links: Those of pictures that are the same as one another though they lie in different groups, or in none.
        complete: Whether all was compared that seemed to be the same.
        rejected: How many pairs seemed to be the same, and differ somewhere.
    """

    groups: list[list[int]]
    links: list[list[int]]
    complete: bool
    rejected: int


def near_duplicates(index: Index, pictures: Any, progress: Progress) -> Found:
    """Finds the pictures that are the same but for size, compression, brightness or a slight crop.

    Every picture is compared with every other at first sight: seconds for 50,000, four times that for twice as many.

    Args:
        index: The images, which can all be decoded.
        pictures: Their thumbnails, uint8 (images, THUMBNAIL, THUMBNAIL).
        progress: Is told how far it is.

    Raises:
        DataError: A file can't be decoded any more.
    """
    copies: dict[str, list[int]] = {}
    for i, digest in enumerate(index.digests):
        copies.setdefault(digest, []).append(i)
    firsts = np.asarray([numbers[0] for numbers in copies.values()], dtype=np.int64)
    enough = [thumbnails.structure(pictures[firsts[k : k + COLUMNS]]) >= PLAIN for k in range(0, len(firsts), COLUMNS)]
    chosen = firsts[np.concatenate(enough)].tolist() if enough else []
    chosen = [i for i in chosen if _least_side(index, i) >= THUMBNAIL]
    candidates, all_compared = _candidates(pictures[chosen], progress)
    found = confirmed(index.take(chosen), candidates, progress)

    def with_copies(numbers: Sequence[int]) -> list[int]:
        return [copy for k in numbers for copy in copies[index.digests[chosen[k]]]]

    groups, links = sorted(map(with_copies, found.groups)), sorted(map(with_copies, found.links))
    return Found(groups, links, found.complete and all_compared, found.rejected)


def _least_side(index: Index, i: int) -> int:
    header = index.facts[i].header if index.facts else None
    with still_there(index, i):
        sides = (header.width, header.height) if header else index.open(i).size
    return min(sides)


def _candidates(pictures: Any, progress: Progress) -> tuple[Any, bool]:
    """The pairs of thumbnails that seem to be the same, and whether these are all.

    Returns:
        float64 (pairs, 6): the lower number, the higher one, and how the second lies against the first; the most alike
        pair first.
    """
    from threadpoolctl import threadpool_limits

    images = len(pictures)
    comparisons = images * (images - 1) // 2
    if not comparisons:
        return np.zeros((0, 6)), True
    hashes, middles = thumbnails.hashes(pictures)
    least = _least(hashes, middles)
    start = time.monotonic()
    tops = range(0, images, ROWS)
    found = [np.zeros((0, 7))]
    before = 0
    # Threads of our own, each with a whole comparison, keep every core busy; those within a matrix product only
    # wait for one another here, many times as long when the machine has other work.
    with (
        progress.task("looking for near-duplicates", images) as advance,
        threadpool_limits(1, "blas"),
        ThreadPoolExecutor(cores()) as pool,
    ):
        for top, close in zip(tops, pool.map(partial(_band, pictures, hashes, middles, least), tops), strict=True):
            below = images - min(top + ROWS, images)
            done = comparisons - below * (below - 1) // 2
            if images >= MANY and before < comparisons / 50 <= done:
                minutes = (time.monotonic() - start) * comparisons / done / 60
                progress.say(f"comparing {images:,} pictures with one another takes about {minutes:.1f} minutes")
            advance(images * done // comparisons - images * before // comparisons)
            before = done
            found += close
    pairs = np.concatenate(found)
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0], pairs[:, 6]))]
    return pairs[:, :6], least <= ALIKE


def _band(pictures: Any, hashes: Any, middles: Any, least: float, top: int) -> list[Any]:
    """The pairs of thumbnails that seem to be the same, of which the first is one of ROWS from `top` on.

    Returns:
        float64 (pairs, 7) each: both numbers, how the second lies against the first, in how much they differ.
    """
    most = DIFFERENT / 4 if least > ALIKE else DIFFERENT
    rows = slice(top, top + ROWS)
    close = []
    for left in range(top, len(pictures), COLUMNS):
        columns = slice(left, left + COLUMNS)
        alike = hashes[rows] @ hashes[columns].T
        np.maximum(alike, middles[rows] @ hashes[columns].T, out=alike)
        np.maximum(alike, hashes[rows] @ middles[columns].T, out=alike)
        i, j = np.divmod(np.flatnonzero(alike >= least), alike.shape[1])
        i, j = i + top, j + left
        i, j = i[i < j], j[i < j]
        for k in range(0, len(i), BATCH):
            a, b = i[k : k + BATCH], j[k : k + BATCH]
            differing, move = thumbnails.differing(pictures[a], pictures[b])
            close.append(np.column_stack([a, b, move, differing])[differing <= most])
    return close


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
