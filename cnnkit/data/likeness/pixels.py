"""What images are like once they are decoded: which are bad, small grey pictures of them, how bright they are.

It is remembered by content, so only what is new or changed is decoded again. The memory is a file a source, in the
cache. A bad image is not remembered: it is tried anew each time. Nor is what was seen of a file that is another by now
than when the index was made, as nobody knows which of its contents was seen.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnkit.core import cache
from cnnkit.core.cache import cache_folder
from cnnkit.core.lazy import cv2, np
from cnnkit.core.machine import cores
from cnnkit.core.progress import Progress
from cnnkit.data.files.decoding import BadImage, Unreadable
from cnnkit.data.files.file_facts import digest_of
from cnnkit.data.index import Index

if TYPE_CHECKING:
    from PIL import Image

THUMBNAIL = 32
"""Height and width of the grey pictures that near-duplicates are found by."""

VERSION = 5
"""Of what is remembered and how it is computed; another is made anew."""

OTHERS = 50_000
"""Images that stay remembered beside those that were asked for, as another glob asks for others of the same source."""

COLOURLESS = 2.0
"""A picture is grey if its channels differ by no more than this on the mean, of 255: what JPEG makes of grey. So scans
that are stored as RGB are grey, whatever their files say."""

SIDE = 256
"""Pixels. A JPEG of twice that and more is decoded at a reduced size, with no side below that."""

_AT_ONCE = 16
"""Images that a thread does at a time: small ones are done faster than threads hand over."""


@dataclass(frozen=True)
class Pixels:
    """What is known of images once they are decoded; row i is image i.

    Attributes:
        bad: From the number of an image that can't be decoded to the reason.
        thumbnails: uint8 (images, THUMBNAIL, THUMBNAIL): the whole picture in grey, stretched.
        means: float64 (images, 3): mean of each channel (red, green, blue), 0..255; NaN where it can't be decoded.
        squares: float64 (images, 3): mean of the squares of each channel.
        lasting: Whether all this follows from the contents that the index tells of; not if a file could not be read, or
            is another by now.
        remarks: What is odd in the file of each and does not matter, empty for most; none at all where nobody asked.
        colours: float32 (images,): how colourful each is, as `colour_of` tells; NaN where it can't be decoded, None
            where nobody asked.
    """

    bad: dict[int, str]
    thumbnails: Any
    means: Any
    squares: Any
    lasting: bool = True
    remarks: Sequence[str] = ()
    colours: Any = None

    def take(self, chosen: Sequence[int]) -> Pixels:
        """The same of the chosen images alone, which can all be decoded."""
        remarks = [self.remarks[i] for i in chosen] if self.remarks else ()
        colours = None if self.colours is None else self.colours[chosen]
        rows = (self.thumbnails[chosen], self.means[chosen], self.squares[chosen])
        return Pixels({}, *rows, self.lasting, remarks, colours)

    def moments(self) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
        """Mean and standard deviation of each channel over all pictures, each counting the same whatever its size."""
        if not len(self.means):
            return None, None
        mean = self.means.mean(axis=0)
        std = np.sqrt(np.maximum(self.squares.mean(axis=0) - mean**2, 0))
        return tuple(mean.tolist()), tuple(std.tolist())


def home_of(source: Any) -> str:
    """What the memory of a source is called: by its path, else its kind, whichever of its images are asked for."""
    return f"{VERSION} {getattr(source, 'path', type(source).__name__)}"


def look(index: Index, home: str, progress: Progress) -> Pixels:
    """Decodes every image, unless one of the same content is remembered.

    Mean and mean of squares are those of all pixels, except that a JPEG of twice `SIDE` and more in both directions is
    measured at the reduced size that it is decoded at.

    Args:
        index: The images.
        home: What the source is known by; its memory is kept under this name.
        progress: Is told of each image that is decoded.
    """
    memory = cache_folder() / "doctor" / "pixels" / digest_of(os.fsencode(home))
    remembered = _recall(memory)
    places = {digest.decode(): row for row, digest in enumerate(remembered["digest"].tolist())}
    found = np.zeros(len(index), _row())
    found["digest"] = index.digests
    for measured in ("mean", "square", "colour"):
        found[measured] = np.nan
    here = [i for i, digest in enumerate(index.digests) if digest in places]
    found[here] = remembered[[places[index.digests[i]] for i in here]]

    bad = {i: facts.bad for i, facts in enumerate(index.facts or ()) if facts.bad is not None}
    passing = {i for i, facts in enumerate(index.facts or ()) if not facts.lasting}
    missing: dict[str, list[int]] = {}  # from a content to the images that have it
    for i, digest in enumerate(index.digests):
        if digest not in places and i not in bad:
            missing.setdefault(digest, []).append(i)
    firsts = [copies[0] for copies in missing.values()]
    reasons, changing = _decode(index, firsts, found, progress)
    passing |= changing
    for first, *copies in missing.values():
        if first in reasons:
            bad |= dict.fromkeys([first, *copies], reasons[first])
        else:
            found[copies] = found[first]
    if new := [i for i in firsts if i not in reasons and i not in passing]:
        asked = {index.digests[i]: i for i in here}
        others = [row for digest, row in places.items() if digest not in asked]  # those asked for last come first
        rows = np.concatenate([found[new], found[list(asked.values())], remembered[others[:OTHERS]]])
        cache.write(memory, rows.view(np.uint8).data, "the images are decoded again next time", progress)
    thumbnails = np.ascontiguousarray(found["thumbnail"])
    remarks = [remark.decode() for remark in found["remark"].tolist()]
    rows = (thumbnails, found["mean"], found["square"])
    return Pixels(dict(sorted(bad.items())), *rows, not passing, remarks, found["colour"])


def colour_of(picture: Any) -> float:
    """How far the channels of a picture, uint8 (H, W, 3), differ on the mean, of 255; it is grey up to COLOURLESS."""
    side = 64  # a tint shows on a small copy too
    pixels = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA).astype(np.int16)
    return float((pixels.max(axis=2) - pixels.min(axis=2)).mean())


def thumbnail(image: Image.Image) -> Any:
    """The small grey picture of a colour picture, uint8 (THUMBNAIL, THUMBNAIL)."""
    from PIL import Image

    area = Image.Resampling.BILINEAR  # a mean over the area, weighted: the plain mean lets too fine detail through
    return np.asarray(image.convert("L").resize((THUMBNAIL, THUMBNAIL), area))


def _decode(index: Index, chosen: list[int], rows: Any, progress: Progress) -> tuple[dict[int, str], set[int]]:
    """Fills the rows of the chosen images.

    Returns:
        Why some can't be decoded, and those of which another content, or none, may have been seen than the index has.
    """
    reasons: dict[int, str] = {}
    changing: set[int] = set()

    def measure(batch: list[int]) -> int:
        for i in batch:
            try:
                pixels, remark = index.decode(i, 3, SIDE)
                _measure(rows[i], pixels)
                rows[i]["remark"] = (remark or "").encode()
            except BadImage as error:
                reasons[i] = str(error)
                if isinstance(error, Unreadable):
                    changing.add(i)
            if index.changed(i):
                changing.add(i)
        return len(batch)

    batches = [chosen[k : k + _AT_ONCE] for k in range(0, len(chosen), _AT_ONCE)]
    if batches:
        with progress.task("decoding images", len(chosen)) as advance, ThreadPoolExecutor(cores()) as pool:
            for done in pool.map(measure, batches):
                advance(done)
    return reasons, changing


def _row() -> Any:
    """What is remembered of an image, as a type of NumPy's."""
    return np.dtype(
        [
            ("digest", "S32"),
            ("thumbnail", np.uint8, (THUMBNAIL, THUMBNAIL)),
            ("mean", np.float64, 3),
            ("square", np.float64, 3),
            ("colour", np.float32),
            ("remark", "S60"),
        ]
    )


def _measure(row: Any, decoded: Any) -> None:
    """Fills a row from a decoded colour picture, uint8 (H, W, 3)."""
    from PIL import Image

    image = Image.fromarray(decoded)
    counts = np.asarray(image.histogram(), dtype=np.float64).reshape(3, 256)
    values = np.arange(256)
    pixels = image.width * image.height
    row["mean"] = counts @ values / pixels
    row["square"] = counts @ values**2 / pixels
    row["colour"] = colour_of(decoded)
    row["thumbnail"] = thumbnail(image)


def _recall(memory: Path) -> Any:
    """The rows that are remembered; none if this is the first look, or the memory is damaged."""
    content = cache.read(memory)
    return np.zeros(0, _row()) if content is None else np.frombuffer(content, _row())
