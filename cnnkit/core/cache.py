"""The cache: its folder, and files in it that are believed only if they are whole.

In front of the content of such a file stands its hash. So what was damaged, whatever damaged it, counts as not there,
and is made anew; and those who read it need not fear any form but the one that they have written.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from cnnkit.core import atomic, locks
from cnnkit.core.errors import DiskError, UsageError
from cnnkit.core.progress import Progress

LOCK = ".in-use"
"""The file whose lock everyone holds who uses the cache."""

USES = "uses"
"""The folder of what is known of who has used what."""

_HASH = 16
"""Bytes of the hash (BLAKE2b) that stands in front."""


def cache_folder() -> Path:
    """The one folder for caches: `CNNKIT_CACHE`, else the platform's user cache."""
    if chosen := os.environ.get("CNNKIT_CACHE"):
        return expanded("CNNKIT_CACHE", chosen)
    from platformdirs import user_cache_path  # here, as most commands need no cache, and all start sooner without it

    return user_cache_path("cnnkit", appauthor=False, opinion=False)  # on Windows neither an author nor `Cache` in it


def expanded(variable: str, chosen: str) -> Path:
    """The path that a variable of the environment says, `~` being somebody's home.

    Raises:
        UsageError: There is no such user.
    """
    try:
        return Path(chosen).expanduser()
    except RuntimeError:
        raise UsageError(f"{variable}={chosen}: there is no user of this name; set it to a folder") from None


@contextmanager
def in_use(make: bool = False) -> Iterator[None]:
    """While it is open nobody clears the cache, and what is used of it is noted.

    Args:
        make: Whether to make the folder where it is not there yet; else there is nothing to protect.
    """
    folder = cache_folder()
    if make:
        with suppress(OSError, DiskError):  # what can't be kept is told by `write`
            atomic.make_folder(folder, parents=True, exist_ok=True)
    if not _open:
        _used.clear()
    _open.append(folder)
    try:
        with locks.shared(folder / LOCK) if folder.is_dir() else nullcontext():
            yield
    finally:
        _open.pop()


_open: list[Path] = []
"""Of each `in_use` that is open, the folder."""

_used: set[str] = set()
"""Files and folders that were used since the first of them was opened."""


def note(path: Path | str) -> None:
    """Notes that something was used, perhaps of the cache; it need not be there."""
    if _open:
        _used.add(str(Path(path).resolve()))


def record_use(by: Path, progress: Progress) -> None:
    """Writes down which run has used all that was noted, for `cnnkit cache`; where that can't be, one line says so."""
    root, user = str(cache_folder().resolve()), str(by.resolve())
    used = sorted(os.path.relpath(path, root) for path in _used if path.startswith(root + os.sep))
    if used:
        content = json.dumps({"run": user, "used": used}).encode()
        name = hashlib.blake2b(os.fsencode(user), digest_size=_HASH).hexdigest()
        write(cache_folder() / USES / f"{name}.json", content, "which run used what is not remembered", progress)


def read(file: Path) -> memoryview | None:
    """What `write` has put into a file; None if there is nothing, or it is damaged."""
    note(file)
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
    note(file)
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
