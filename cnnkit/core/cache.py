"""The cache: its folder, and files in it that are believed only if they are whole.

In front of the content of such a file stands its hash. So what was damaged, whatever damaged it, counts as not there,
and is made anew; and those who read it need not fear any form but the one that they have written.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from cnnkit.core import atomic
from cnnkit.core.errors import DiskError
from cnnkit.core.progress import Progress

_HASH = 16
"""Bytes of the hash (BLAKE2b) that stands in front."""


def cache_folder() -> Path:
    """The one folder for caches: `CNNKIT_CACHE`, else the platform's user cache."""
    if chosen := os.environ.get("CNNKIT_CACHE"):
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path  # here, as most commands need no cache, and all start sooner without it

    return user_cache_path("cnnkit", appauthor=False, opinion=False)  # on Windows neither an author nor `Cache` in it


def read(file: Path) -> memoryview | None:
    """What `write` has put into a file; None if there is nothing, or it is damaged."""
    try:
        whole = memoryview(file.read_bytes())
    except OSError:
        return None  # a cache: what can't be read is made anew, and `write` tells if it can't be written either
    return whole[_HASH:] if whole[:_HASH] == _hash_of(whole[_HASH:]) else None


def write(file: Path, content: bytes | memoryview, otherwise: str, progress: Progress) -> None:
    """Writes a file of the cache; where that can't be, one line says so, and the work goes on.

    Args:
        file: Where; its folder is made.
        content: What.
        otherwise: What follows if it can't be written, for example `the files are read again next time`.
        progress: Is told of it.
    """
    try:
        atomic.make_folder(file.parent, parents=True, exist_ok=True)
        with atomic.replacing(file, _HASH + len(content)) as stream:
            stream.write(_hash_of(content))
            stream.write(content)
    except (OSError, DiskError) as error:
        progress.say(f"{otherwise}: {why_not_written(error, file)}")


def why_not_written(error: OSError | DiskError, file: Path) -> str:
    """Why a file of the cache can't be written."""
    if isinstance(error, DiskError):
        return str(error)
    return f"{error.filename or file} can't be written: {error.strerror or error}"


def _hash_of(content: bytes | memoryview) -> bytes:
    return hashlib.blake2b(content, digest_size=_HASH).digest()
