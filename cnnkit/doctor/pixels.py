"""What images are like once they are decoded: which are bad, small grey pictures of them, how bright they are.

It is remembered by content, so only what is new or changed is decoded again. The memory is an .npz file a source, in
the cache. A bad image is not remembered: it is tried anew each time.
"""

from __future__ import annotations

import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cnnkit import atomic, decoding
from cnnkit.decoding import BadImage
from cnnkit.doctor.base import THUMBNAIL, Pixels
from cnnkit.file_index import digest_of
from cnnkit.lazy import cache_folder, np
from cnnkit.progress import Progress
from cnnkit.sources import Index

VERSION = 1
"""Of what is remembered and how it is computed; another is made anew."""

SIDE = 256
"""Pixels. A JPEG of twice that and more is decoded at a reduced size, with no side below that."""

_AT_ONCE = 16
"""Images that a thread does at a time: small ones are done faster than threads hand over."""


def look(index: Index, home: str, progress: Progress) -> Pixels:
    """Decodes every image, unless one of the same content is remembered.

    Mean and mean of squares are those of all pixels, except that a JPEG of twice `SIDE` and more in both directions is
    measured at the reduced size that it is decoded at.

    Args:
        index: The images.
        home: What the source is known by; its memory is kept under this name.
        progress: Is told of each image that is decoded.
    """
    memory = cache_folder() / "doctor" / "pixels" / f"{digest_of(os.fsencode(home))}.npz"
    images = len(index)
    known, rows = _recall(memory)
    found = _Rows.empty(images)
    places = [rows.get(digest, -1) for digest in index.digests]
    here = np.flatnonzero(np.asarray(places, dtype=np.int64) >= 0)
    found.copy(here, known, [places[i] for i in here])

    bad = {i: facts.bad for i, facts in enumerate(index.facts or ()) if facts.bad is not None}
    missing: dict[str, list[int]] = {}  # from a content to the images that have it
    for i, digest in enumerate(index.digests):
        if places[i] < 0 and i not in bad:
            missing.setdefault(digest, []).append(i)
    firsts = [copies[0] for copies in missing.values()]
    if firsts:
        reasons: dict[int, str] = {}

        def measure(batch: list[int]) -> int:
            for i in batch:
                try:
                    found.measure(i, decoding.decoded(index.open(i), SIDE, 3))
                except BadImage as error:
                    reasons[i] = str(error)
            return len(batch)

        batches = [firsts[k : k + _AT_ONCE] for k in range(0, len(firsts), _AT_ONCE)]
        with progress.task("decoding images", len(firsts)) as advance, ThreadPoolExecutor(os.cpu_count()) as pool:
            for done in pool.map(measure, batches):
                advance(done)
        for first, *copies in missing.values():
            if first in reasons:
                bad |= dict.fromkeys([first, *copies], reasons[first])
            else:
                found.copy(copies, found, [first] * len(copies))
        if len(reasons) < len(firsts):
            _remember(memory, index, found, bad, progress)
    return Pixels(dict(sorted(bad.items())), found.thumbnails, found.means, found.squares)


class _Rows:
    """The arrays that are found and remembered; row i of each is of one image."""

    def __init__(self, thumbnails: Any, means: Any, squares: Any):
        self.thumbnails = thumbnails
        self.means = means
        self.squares = squares

    @classmethod
    def empty(cls, count: int) -> _Rows:
        thumbnails = np.zeros((count, THUMBNAIL, THUMBNAIL), np.uint8)
        return cls(thumbnails, np.full((count, 3), np.nan), np.full((count, 3), np.nan))

    def measure(self, i: int, picture: Any) -> None:
        """Fills row i from a decoded colour picture."""
        from PIL import Image

        counts = np.asarray(picture.histogram(), dtype=np.float64).reshape(3, 256)
        values = np.arange(256)
        pixels = picture.width * picture.height
        self.means[i] = counts @ values / pixels
        self.squares[i] = counts @ values**2 / pixels
        area = Image.Resampling.BILINEAR  # a mean over the area, weighted: the plain mean lets too fine detail through
        self.thumbnails[i] = np.asarray(picture.convert("L").resize((THUMBNAIL, THUMBNAIL), area))

    def copy(self, to: Any, other: _Rows, places: list[int]) -> None:
        """Fills the rows `to` from the rows `places` of others."""
        self.thumbnails[to] = other.thumbnails[places]
        self.means[to] = other.means[places]
        self.squares[to] = other.squares[places]


def _recall(memory: Path) -> tuple[_Rows, dict[str, int]]:
    """What is remembered, and the row of each content; nothing if this is the first look, or the memory is damaged."""
    try:
        with memory.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            rows = _Rows(kept["thumbnails"], kept["means"], kept["squares"])
            digests = kept["digests"].tolist() if int(kept["version"]) == VERSION else []
    except FileNotFoundError:
        return _Rows.empty(0), {}
    except (OSError, ValueError, TypeError, KeyError, EOFError, AttributeError, zipfile.BadZipFile):
        return _Rows.empty(0), {}  # a cache: what is damaged is made anew, and written over
    like = _Rows.empty(0)
    for name in ("thumbnails", "means", "squares"):
        array, wanted = getattr(rows, name), getattr(like, name)
        if array.dtype != wanted.dtype or array.shape != (len(digests), *wanted.shape[1:]):
            return like, {}
    return rows, {digest.decode(): row for row, digest in enumerate(digests)}


def _remember(memory: Path, index: Index, found: _Rows, bad: dict[int, str], progress: Progress) -> None:
    rows = {digest: i for i, digest in enumerate(index.digests) if i not in bad}
    kept = list(rows.values())
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        with atomic.replacing(memory) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                version=np.asarray(VERSION),
                digests=np.asarray(list(rows), dtype=np.bytes_),
                thumbnails=found.thumbnails[kept],
                means=found.means[kept],
                squares=found.squares[kept],
            )
    except OSError as error:
        progress.say(f"the images are decoded again next time: {error.filename} can't be written: {error.strerror}")
