"""Archives (.zip, .tar, .tar.gz and the like), unpacked into the cache once, and never beyond it.

An archive may come from anywhere, so nothing that it says is believed:

- a name that leads out of the folder (`..`, `/`, a drive letter, a backslash) or can't be shown is refused;
- only files and folders are unpacked, never links, devices or pipes, and with the rights of any new file;
- what really comes out is counted, whatever the sizes inside say, and is at most `RATIO` times the archive's size and
  `ALLOWANCE`, nor more than the disk has room for;
- checksums are held to, as far as the format has them.

It is unpacked whole or not at all, into a folder named by the hash of its content, so that two processes, or two copies
of an archive, come to the same. What lies there is kept beside it, as one hash: caches are cleaned file by file by some
systems, and a folder that is no longer whole is unpacked again, for a training on what is left would be another one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from cnnkit.core import atomic, cache, disk
from cnnkit.core.cache import cache_folder
from cnnkit.core.errors import DataError, Problem
from cnnkit.core.progress import Progress
from cnnkit.data.files.archive_members import BLOCK, Budget, Kind, Refused, kind_of, members_of, parts_of, quoted
from cnnkit.data.files.file_facts import TICK, digest_of
from cnnkit.data.files.formats import ARCHIVES

ROOM = 256 * 2**20
"""Bytes that are left free on the disk."""

COST = 4096
"""Bytes that each file and folder counts beside its content: the least that it takes on a disk."""

LEFT = 86_400
"""Seconds; what was begun, and not written on for as long, was left behind by a process that was killed."""

MAX_MEMBERS = 5_000_000
"""Files and folders in an archive; ImageNet has 1.4 million."""


def is_archive(path: Path) -> bool:
    """Whether a file is an archive that `unpacked` reads, judged by its beginning, whatever it is called."""
    try:
        return path.is_file() and kind_of(path) is not None
    except OSError:
        return False


def unpacked(path: Path, progress: Progress) -> Path:
    """The folder that an archive is unpacked to; a folder is returned as it is.

    Args:
        path: The archive, or a folder.
        progress: Is told how far reading and unpacking are; the next time there is nothing to tell.

    Raises:
        DataError: The archive is not there, damaged, or not safe to unpack; nothing of it is left.
    """
    try:
        return path if path.is_dir() else _unpacked(path, progress)
    except Refused as error:
        message = f"{path}: {error}"
    except OSError as error:
        place = f" ({error.filename})" if error.filename and str(error.filename) != str(path) else ""
        message = f"{path} can't be unpacked: {error.strerror or error}{place}"
    raise DataError(Problem(message, key="path"))


def _unpacked(path: Path, progress: Progress) -> Path:
    if not path.exists():
        raise Refused("there is no such file")
    if not path.is_file():
        raise Refused("is neither a file nor a folder")
    # Resolved, so that sources find the very same path again in what they tell of it.
    home = cache_folder().resolve() / "archives"
    memory = home / f"{digest_of(os.fsencode(path.resolve()))}.json"
    stamp = _stamp(path)
    before = _recall(memory, stamp)
    if before and _whole(home / before):
        cache.note(home / before)
        return home / before
    kind = kind_of(path)
    if kind is None:
        raise Refused("is empty, or no archive: it should be a .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz")
    start = time.time_ns()
    digest = _digest_of(path, progress)
    folder = home / digest
    atomic.make_folder(home, parents=True, exist_ok=True)
    _clear(home)
    if not _whole(folder):
        if folder.is_dir():
            progress.say(f"{path.name}: what was unpacked before is not complete any more, so it is unpacked again")
            _remove(folder)
        try:
            with atomic.making(folder) as temporary:
                _unpack(path, kind, temporary, progress)
                if _stamp(path) != stamp:
                    raise Refused("has changed while it was read; begin again when it is complete")
                atomic.write_text(_listing(folder), _digest_of_files(temporary))
        except OSError:
            if not _whole(folder):  # else another process was quicker, with the same content
                raise
    if max(stamp[1:]) < start - TICK:  # else a second change could not be told from the first
        document = json.dumps({"archive": str(path.resolve()), "stamp": stamp, "digest": digest})
        cache.write(memory, document.encode(), f"{path.name} is read again next time", progress)
    cache.note(folder)
    return folder


def _unpack(path: Path, kind: Kind, folder: Path, progress: Progress) -> None:
    """Writes every member below a folder."""
    budget = Budget(path.stat().st_size, shutil.disk_usage(folder).free - ROOM)
    files = 0
    packed: list[str] = []
    folders = {folder}
    for number, (name, content) in enumerate(members_of(path, kind, budget, progress), start=1):
        if number > MAX_MEMBERS:
            raise Refused(f"holds more than {MAX_MEMBERS:,} files; unpack it yourself and name the folder")
        budget.spend(COST)
        files += content is not None
        packed += [name] if content is not None and _is_packed(name.lower()) else []
        parts = parts_of(name)
        if content is not None and not parts:
            raise Refused(f"{quoted(name)} is a file without a name")
        try:
            _write(folder, parts, content, folders, budget)
        except FileExistsError:
            message = "is in it twice, or differs from another only in what this disk does not tell apart (capitals)"
            raise Refused(f"{quoted(name)} {message}") from None
        except (OSError, ValueError) as error:  # ValueError: a name that this system can't write
            raise Refused(f"{quoted(name)} can't be unpacked: {getattr(error, 'strerror', None) or error}") from None
    if not files:
        raise Refused("holds no file")
    if len(packed) == files:
        more = f" and {files - 1} more" if files > 1 else ""
        raise Refused(f"holds nothing but the archive {quoted(packed[0])}{more}; unpack it, and name what is in it")


def _is_packed(name: str) -> bool:
    """Whether a file is an archive by its name; a `.gz` alone is not: the files of MNIST are such."""
    return name.endswith(ARCHIVES) and (".tar." in name or not name.endswith((".gz", ".bz2", ".xz")))


def _write(
    root: Path, parts: tuple[str, ...], content: Iterator[bytes] | None, folders: set[Path], budget: Budget
) -> None:
    """Writes a file, or makes a folder, and the folders above; the disk itself is asked whether a name is new."""
    folder = root
    for part in parts if content is None else parts[:-1]:
        folder = folder / part
        if folder not in folders:
            atomic.make_folder(folder)
            folders.add(folder)
            budget.spend(COST)
    if content is not None:
        atomic.write_within(folder / parts[-1], content)


def _listing(folder: Path) -> Path:
    """The file that keeps what was unpacked to a folder."""
    return folder.with_name(f"{folder.name}.files")


def _whole(folder: Path) -> bool:
    """Whether a folder is there, and in it all that was unpacked to it and nothing else, by names and sizes."""
    try:
        return folder.is_dir() and _listing(folder).read_text(encoding="utf-8") == _digest_of_files(folder)
    except (OSError, ValueError):
        return False


def _remove(folder: Path) -> None:
    """Removes a folder; its name is free at once, and nothing half-removed ever bears it."""
    aside = atomic.beside(folder)
    with suppress(FileNotFoundError):  # another process was quicker
        folder.rename(aside)
        shutil.rmtree(aside)


def _digest_of_files(folder: Path) -> str:
    """A hash of every path below a folder, and of each file's size."""
    found = []
    left = [""]
    while left:
        below = left.pop()
        with os.scandir(folder / below) as entries:
            for entry in entries:
                name = f"{below}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    left.append(f"{name}/")
                    found.append(f"{name}/")
                else:
                    found.append(f"{name}\0{entry.stat(follow_symlinks=False).st_size}")
    return digest_of(os.fsencode("\0\0".join(sorted(found))))


def _clear(home: Path) -> None:
    """Removes what processes that were killed have left half-unpacked."""
    for left in home.glob(f"{disk.WRITING}*"):
        with suppress(OSError):  # it has just been completed, or is somebody else's
            before = time.time() - LEFT
            if left.lstat().st_mtime < before and _written(left) < before:
                if left.is_dir():
                    shutil.rmtree(left)
                else:
                    left.unlink()


def _written(path: Path) -> float:
    """When something was last written to a file, or into a folder at any depth."""
    last = path.lstat().st_mtime
    for folder, _, files in os.walk(path):
        for each in (folder, *(os.path.join(folder, file) for file in files)):  # noqa: PTH118 - a million times
            last = max(last, os.lstat(each).st_mtime)
    return last


def _stamp(path: Path) -> list[int]:
    """Size and times of a file, by which a change shows."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _recall(memory: Path, stamp: list[int]) -> str | None:
    """The digest of an archive that was looked at before and is as it was; None if not, or the memory is damaged."""
    content = cache.read(memory)
    document = json.loads(bytes(content)) if content else {"stamp": None}
    return str(document["digest"]) if document["stamp"] == stamp else None


def _digest_of(path: Path, progress: Progress) -> str:
    checksum = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file, progress.task(f"reading {path.name}", path.stat().st_size) as advance:
        while block := file.read(BLOCK):
            checksum.update(block)
            advance(len(block))
    return checksum.hexdigest()
