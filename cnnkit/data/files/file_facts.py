"""What is known of image files without their pixels: found in parallel, and remembered by path, size and time.

The memory is a file a folder in the cache. An entry counts as long as the file has the size and the times that it had;
a file that changed within the last moments is read again the next time, as a second change in the same tick of the
clock could not be told from it (the "racy" entries of git's index). So is one that could not be read at all: the reason
for that is not in the file, and may be gone.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from cnnkit.core import cache
from cnnkit.core.cache import cache_folder
from cnnkit.core.lazy import np
from cnnkit.core.progress import Progress
from cnnkit.data.files import decoding
from cnnkit.data.files.decoding import BadImage, Header, Unreadable

VERSION = 6
"""Of the form of the memory; one in another form is made anew."""

OTHERS = 200_000
"""Files that stay remembered beside those that were asked for, as another glob asks for others of the same folder."""

TICK = 2_000_000_000
"""Nanoseconds within which a file system may not tell two changes apart (FAT has two seconds)."""

_PART = 2**22
"""Pixels of a large picture that are hashed at once."""


Stamp = bytes
"""Size of a file, the time it was written, the time its inode changed; as bytes, for there is one for every image."""

_STAMP = struct.Struct("<3Q")

_WORD = 2**64 - 1
"""What a time is cut to: one before 1970 is then one in the far future, which is never taken for settled."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What is known of one file.

    Attributes:
        digest: Hash of its content; equal content, equal digest. Of a plain picture without loss (PNG and BMP, grey or
            colour) the pixels are hashed, so that it counts as the same in any such file, or in an array; of others the
            bytes.
        size: Bytes.
        header: What the image says of itself; None if it can't be read.
        bad: Why it can't be read as an image, as far as reading it so far has shown; else None.
        lasting: Whether all this follows from the content; not if the file could not be read.
        stamp: Size and times of the file when it was read, by which a change shows; None if it is no file.
        settled: Whether any change since would show by that; not if the file was written a moment before it was read,
            or could not be read.
    """

    digest: str
    size: int
    header: Header | None
    bad: str | None
    lasting: bool = True
    stamp: Stamp | None = None
    settled: bool = True


AT_ONCE = 16
"""Files that a thread reads at a time: small ones are read faster than threads hand over."""


def digest_of(content: bytes | memoryview) -> str:
    """The hash by which equal contents are known (BLAKE2b, 128 bits)."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def digest_of_pixels(pixels: Any) -> str:
    """The same of a picture's numbers, a uint8 array (height, width) or (height, width, 3)."""
    return _digest_of_rows(pixels.shape, [np.ascontiguousarray(pixels).reshape(-1)])


def _digest_of_image(image: Any) -> str:
    """The same of a `PIL.Image.Image` of mode L or RGB, a part at a time, so that a large one is not copied."""
    shape = (image.height, image.width, *((3,) if image.mode == "RGB" else ()))
    step = max(1, _PART // image.width)
    tops = range(0, image.height, step)
    boxes = ((0, top, image.width, min(top + step, image.height)) for top in tops)
    return _digest_of_rows(shape, (image.crop(box).tobytes() for box in boxes))


def _digest_of_rows(shape: Sequence[int], parts: Iterable[Any]) -> str:
    # Of a square picture the number of bytes tells the shape already: n x n and 3 x n x n are never the same.
    height, width = shape[:2]
    sides = "" if height == width else f"{'x'.join(map(str, shape))}:"
    checksum = hashlib.blake2b(sides.encode(), digest_size=16)
    for part in parts:
        checksum.update(part)
    return checksum.hexdigest()


def look(root: Path, names: Sequence[str], progress: Progress) -> list[FileFacts]:
    """Reads the files that are new or changed, and knows the others.

    Args:
        root: The folder that the memory is of.
        names: The files, as paths below `root`, or absolute where they lie elsewhere.
        progress: Is told of each file that is read.

    Returns:
        The facts of each file, in their order. A file that can't be read has facts that say so.
    """
    memory = cache_folder() / "index" / f"{digest_of(os.fsencode(root.resolve()))}.json"
    headers: dict[Header | None, Header | None] = {}  # many files have the same, which then takes memory once
    remembered_facts = _recall(memory, headers)
    start = time.time_ns()
    facts: list[FileFacts | None] = []
    stamps: list[Stamp | None] = []
    for name in names:
        stamp = stamp_of(os.path.join(root, name))  # noqa: PTH118 - a million times
        entry = remembered_facts.get(name)
        facts.append(entry if entry and entry.stamp == stamp else None)
        stamps.append(None if facts[-1] else stamp)
    missing = [i for i, fact in enumerate(facts) if fact is None]
    if missing:
        for i, fact in zip(missing, _read_all(root, [names[i] for i in missing], progress), strict=True):
            stamp = stamps[i]
            settled = fact.lasting and stamp is not None and max(_STAMP.unpack(stamp)[1:]) < start - TICK
            header = headers.setdefault(fact.header, fact.header)
            facts[i] = replace(fact, header=header, stamp=stamp, settled=settled)
        asked = set(names)
        others = ((name, fact) for name, fact in remembered_facts.items() if name not in asked)
        _remember(memory, root, chain(zip(names, facts, strict=True), islice(others, OTHERS)), progress)
    return [fact for fact in facts if fact is not None]


def _read_all(root: Path, names: Sequence[str], progress: Progress) -> Iterator[FileFacts]:
    """Reads files on all cores; the facts of each, in their order."""
    parts = [names[k : k + AT_ONCE] for k in range(0, len(names), AT_ONCE)]
    with progress.task("reading files", len(names)) as advance, ThreadPoolExecutor() as pool:
        for facts in pool.map(lambda part: [read(root / name) for name in part], parts):
            yield from facts
            advance(len(facts))


def read(path: Path) -> FileFacts:
    """Reads one file."""
    try:
        content = decoding.read_bytes(path)
    except Unreadable as error:
        # It only needs a digest of its own: whoever decodes it meets the same error.
        digest = digest_of(f"{path}: {error}".encode(errors="surrogateescape"))
        return FileFacts(digest, 0, None, str(error), lasting=False)
    return facts_of(content)


def facts_of(content: bytes) -> FileFacts:
    """The same of what a file holds."""
    try:
        with decoding.looking_at(content) as (header, image):
            digest = digest_of(content) if image is None else _digest_of_image(image)
    except BadImage as error:
        return FileFacts(digest_of(content), len(content), None, str(error), not isinstance(error, Unreadable))
    return FileFacts(digest, len(content), header, None)


def stamp_of(path: str) -> Stamp | None:
    """Size and times of a file, by which a change shows; None if there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return None  # `read` meets the same error, and tells it
    return _STAMP.pack(found.st_size, found.st_mtime_ns & _WORD, found.st_ctime_ns & _WORD)


def _remember(memory: Path, root: Path, facts: Iterable[tuple[str, FileFacts | None]], progress: Progress) -> None:
    """Writes what is known of files, each in a line of JSON, so that no more than a line takes memory twice."""
    lines = io.BytesIO()
    lines.write(_line({"version": VERSION, "root": str(root)}))
    for name, fact in facts:  # those asked for last come first
        if fact and fact.settled and fact.stamp:
            lines.write(_line([name, _STAMP.unpack(fact.stamp), fact.digest, fact.header, fact.bad]))
    cache.write(memory, lines.getbuffer(), "the files are read again next time", progress)


def _line(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def _recall(memory: Path, headers: dict[Header | None, Header | None]) -> dict[str, FileFacts]:
    """What is remembered of the files of a folder; nothing if it was never looked at, or the memory is damaged."""
    lines = io.BytesIO(cache.read(memory) or b"{}")
    if json.loads(next(lines)).get("version") != VERSION:
        return {}
    facts = {}
    for line in lines:
        name, stamp, digest, fields, bad = json.loads(line)
        header = Header(sys.intern(fields[0]), sys.intern(fields[1]), *fields[2:]) if fields else None
        header = headers.setdefault(header, header)
        facts[name] = FileFacts(digest, stamp[0], header, bad, stamp=_STAMP.pack(*stamp))
    return facts
