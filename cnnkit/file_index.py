"""What is known of image files without their pixels: found in parallel, and remembered by path, size and time.

The memory is a JSON file a folder in the cache. An entry counts as long as the file has the size and the times that it
had; a file that changed within the last moments is read again the next time, as a second change in the same tick of
the clock could not be told from it (the "racy" entries of git's index).
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnkit import atomic, decoding
from cnnkit.decoding import BadImage, Header
from cnnkit.lazy import cache_folder
from cnnkit.progress import Progress

VERSION = 1
"""Of the form of the memory; one in another form is made anew."""

TICK = 2_000_000_000
"""Nanoseconds within which a file system may not tell two changes apart (FAT has two seconds)."""


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
    """

    digest: str
    size: int
    header: Header | None
    bad: str | None


def digest_of(content: bytes | memoryview) -> str:
    """The hash by which equal contents are known (BLAKE2b, 128 bits)."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def digest_of_pixels(pixels: Any) -> str:
    """The same of a picture's numbers, a uint8 array (height, width) or (height, width, 3)."""
    return digest_of(f"{'x'.join(map(str, pixels.shape))}:".encode() + pixels.tobytes())


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
    known = _recall(memory)
    start = time.time_ns()
    facts: list[FileFacts | None] = []
    stamps: list[list[int] | None] = []
    for name in names:
        stamp = _stamp(os.path.join(root, name))  # noqa: PTH118 - a million times
        entry = known.get(name)
        fresh = entry is not None and stamp is not None and entry[0] == stamp
        facts.append(_facts(entry) if entry and fresh else None)
        stamps.append(stamp)
    missing = [i for i, fact in enumerate(facts) if fact is None]
    if missing:
        with progress.task("reading files", len(missing)) as advance, ThreadPoolExecutor() as pool:
            for i, fact in zip(missing, pool.map(lambda i: read(root / names[i]), missing), strict=True):
                facts[i] = fact
                advance(1)
        _remember(memory, root, names, facts, stamps, start, progress)
    return [fact for fact in facts if fact is not None]


def read(path: Path) -> FileFacts:
    """Reads one file."""
    try:
        content = decoding.read_bytes(path)
    except BadImage as error:
        # It only needs a digest of its own: whoever decodes it meets the same error.
        return FileFacts(digest_of(f"{path}: {error}".encode(errors="surrogateescape")), 0, None, str(error))
    return facts_of(content)


def facts_of(content: bytes) -> FileFacts:
    """The same of what a file holds."""
    try:
        header = decoding.header(content)
        pixels = decoding.plain_pixels(content, header)
    except BadImage as error:
        return FileFacts(digest_of(content), len(content), None, str(error))
    digest = digest_of(content) if pixels is None else digest_of_pixels(pixels)
    return FileFacts(digest, len(content), header, None)


def _stamp(path: str) -> list[int] | None:
    """Size and times of a file, by which a change shows; None if there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return None  # `read` meets the same error, and tells it
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _facts(entry: list[Any]) -> FileFacts:
    _, digest, header, bad = entry
    return FileFacts(digest, entry[0][0], Header(*header) if header else None, bad)


def _recall(memory: Path) -> dict[str, list[Any]]:
    """What is remembered of the files of a folder; nothing if it was never looked at, or the memory is damaged."""
    try:
        document = json.loads(memory.read_bytes())
        known = document["files"] if document["version"] == VERSION else {}
        intact = all(_is_entry(entry) for entry in known.values())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}  # a cache: what is damaged is made anew, and written over
    return known if intact else {}


def _is_entry(entry: Any) -> bool:
    if not (isinstance(entry, list) and len(entry) == 4):
        return False
    stamp, digest, header, bad = entry
    told = isinstance(header, list) and len(header) == len(Header._fields) and bad is None
    return isinstance(stamp, list) and isinstance(digest, str) and (told or isinstance(bad, str))


def _remember(
    memory: Path,
    root: Path,
    names: Sequence[str],
    facts: Sequence[FileFacts | None],
    stamps: Sequence[list[int] | None],
    start: int,
    progress: Progress,
) -> None:
    files = {
        name: [stamp, fact.digest, fact.header, fact.bad]
        for name, fact, stamp in zip(names, facts, stamps, strict=True)
        if fact and stamp and max(stamp[1:]) < start - TICK
    }
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"version": VERSION, "root": str(root), "files": files}, separators=(",", ":"))
        atomic.write_text(memory, text)
    except OSError as error:
        progress.say(f"the files are read again next time: {error.filename} can't be written: {error.strerror}")
