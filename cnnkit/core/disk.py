"""Disk: what a disk has against a write, in words: it is full, a quota is used up, it is read-only, it fails."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cnnkit.core.errors import DiskError
from cnnkit.core.text import in_bytes

WRITING = ".writing-"
"""How the names begin of files and folders that are not complete yet, or never will be."""

UNFINISHED = re.compile(rf"^{re.escape(WRITING)}[0-9a-f]{{12}}-")
"""What stands in front of the name that such a file will have."""


@contextmanager
def disk_errors(path: Path, needed: int | None = None) -> Iterator[None]:
    """What the disk has against a write within, of ours or of a library, is a DiskError.

    Args:
        path: What is written.
        needed: Bytes that it needs, if that is known.
    """
    try:
        yield
    except OSError as error:
        raise worded(error, path, needed) from error


def worded(error: OSError, path: Path, needed: int | None = None, taken: int = 0) -> OSError | DiskError:
    """An error as it is to be raised: a DiskError where it is one of the disk, else as it is.

    Args:
        error: What the system says.
        path: What was to be written.
        needed: Bytes that it needs, if that is known.
        taken: Bytes of it that have been written, and are about to be removed.
    """
    disk = _mount_of(path)
    path = _called(path)
    needs = f"{path} needs {in_bytes(needed)}" if needed is not None else f"{path} can't be written"
    if error.errno == errno.ENOSPC:
        free = shutil.disk_usage(disk).free + taken
        if needed is not None and free >= needed and not _takes_files(disk):
            return DiskError(f"the disk at {disk} takes no more files: {path} can't be made; remove some there")
        return DiskError(f"the disk at {disk} is full: {needs}, {in_bytes(free)} are free; make room there")
    if error.errno == errno.EDQUOT:
        return DiskError(f"your quota on the disk at {disk} is used up: {needs}; make room there")
    if error.errno == errno.EFBIG:
        return DiskError(f"no file may be so large on the disk at {disk}, or by `ulimit -f`: {needs}")
    if error.errno == errno.EROFS:
        return DiskError(f"the disk at {disk} is read-only: {needs}")
    if error.errno == errno.EIO:
        return DiskError(f"the disk at {disk} fails ({error.strerror}): {needs}")
    if isinstance(error.filename, str):
        error.filename = str(_called(Path(error.filename)))
    return error


def _called(path: Path) -> Path:
    """What a path will be called when it is complete."""
    return Path(*(UNFINISHED.sub("", part) for part in path.parts))


def free_for(path: Path) -> tuple[Path, int]:
    """Where the disk is mounted that a path is on, and the bytes that are free there."""
    disk = _mount_of(path)
    return disk, shutil.disk_usage(disk).free


def _mount_of(path: Path) -> Path:
    """Where the disk is mounted that a path is on, which need not be there."""
    place = path.absolute()
    while not place.exists() or not place.is_mount():
        if place == place.parent:
            break
        place = place.parent
    return place


def _takes_files(disk: Path) -> bool:
    return not hasattr(os, "statvfs") or os.statvfs(disk).f_favail > 0
