"""The near-duplicates of a collection, kept in the cache: the same pictures are not compared with one another twice."""

from __future__ import annotations

import json

from cnnkit.core import cache
from cnnkit.core.cache import cache_folder
from cnnkit.core.progress import Progress
from cnnkit.core.version import __version__
from cnnkit.data.files.file_facts import digest_of
from cnnkit.data.index import Index
from cnnkit.data.likeness import pixels
from cnnkit.data.likeness.near_duplicates import Found, near_duplicates
from cnnkit.data.likeness.pixels import Pixels

VERSION = 2
"""Of how they are found; raised when that changes, so that what was found before does not count any more."""


def found_among(index: Index, seen: Pixels, progress: Progress) -> Found:
    """The near-duplicates among images that can all be decoded.

    Args:
        index: The images.
        seen: What they are like.
        progress: Is told how far it is.

    Raises:
        DataError: A file can't be decoded any more.
    """
    # By content and order: of two that are equally good, the first stays.
    depends_on = repr((__version__, VERSION, list(index.digests)))
    file = cache_folder() / "doctor" / "near" / digest_of(depends_on.encode())
    content = cache.read(file)
    if content is not None:
        return Found(**json.loads(bytes(content)))
    found = near_duplicates(index, seen.thumbnails, progress)
    if seen.lasting:
        text = json.dumps(found._asdict(), separators=(",", ":"))
        cache.write(file, text.encode(), "pictures are compared with one another again next time", progress)
    return found


def near_parts(index: Index, source: object, progress: Progress) -> list[list[int]]:
    """Numbers of images that are near-duplicates, for a split that keeps them together.

    Args:
        index: The images; those that can't be decoded belong to no other.
        source: Where they are from.
        progress: Is told how far it is.

    Raises:
        DataError: A file can't be decoded any more.
    """
    seen = pixels.look(index, pixels.home_of(source), progress)
    good = [i for i in range(len(index)) if i not in seen.bad]
    found = found_among(index.take(good), seen.take(good), progress)
    return [[good[i] for i in numbers] for numbers in (*found.groups, *found.links)]
