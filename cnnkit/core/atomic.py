"""Files that are written whole or not at all, whatever happens meanwhile. Every write of the package is one of these.

What the disk has against it (it is full, a quota is used up, it is read-only, it fails) is a DiskError, which names the
disk, what was to be written and what that needs (`core.disk`). A test holds that nothing else in the package writes.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cnnkit.core.disk import UNFINISHED, WRITING, disk_errors, worded
from cnnkit.core.errors import DiskError

ERRORS = "surrogateescape"
"""How file names that are not UTF-8 are written and read: byte by byte as they are."""

MANY = 1000
"""Files in a folder from which on they are brought to the disk together."""

DAY = 24 * 3600.0
"""Seconds after which nobody is still writing what is not complete."""

_ROOM = f"{WRITING}room-"
"""How the names begin of files that keep room for another."""

_SPARE = 4096
"""Bytes that are kept for a file beside twice what it has now."""


class File:
    """A new file, open for writing; whoever has it open makes it whole, or removes it.

    Attributes:
        path: Where it lies.
    """

    def __init__(self, path: Path, called: Path, needed: int | None = None):
        """Makes it.

        Args:
            path: Where; nothing is there yet.
            called: What it is called in an error.
            needed: Bytes that it is going to have, if that is known.

        Raises:
            DiskError: There is no room for it.
        """
        self.path, self._called, self._needed = path, called, needed
        with self._told():
            self._file = path.open("xb")

    def write(self, content: bytes | memoryview) -> None:
        """Adds to it.

        Raises:
            DiskError: There is no room for it.
        """
        try:
            self._file.write(content)
        except OSError as error:
            raise self._worded(error) from error

    def fileno(self) -> int:
        """Its descriptor."""
        return self._file.fileno()

    def reserve(self, size: int) -> None:
        """Takes room for so many bytes, so that a disk too small is known before the work and not after half of it.

        Raises:
            DiskError: There is too little.
        """
        if hasattr(os, "posix_fallocate"):
            self._needed = size
            try:
                os.posix_fallocate(self.fileno(), 0, size)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # some file systems can't tell before
                    raise self._worded(error) from error

    def sync(self) -> None:
        """Cuts off what was reserved for more, and brings all to the disk.

        Raises:
            DiskError: There is no room for it, which some disks say only now.
        """
        with self._told():
            self._file.truncate()
            self._file.flush()
            os.fsync(self.fileno())

    def verify(self, digest: str) -> None:
        """Reads it back, from the disk where the system lets us ask for that; `sync` comes before.

        Args:
            digest: The SHA-256 of what was written.

        Raises:
            DiskError: It has another one, or can't be read.
        """
        with self._told(), self.path.open("rb") as written:
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(written.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            found = hashlib.file_digest(written, "sha256").hexdigest()
        if found != digest:
            raise DiskError(f"{self._called} does not hold what was written to it: its disk, or the memory, fails")

    def close(self) -> None:
        """Ends the writing; what is not brought to the disk yet may be lost."""
        with suppress(OSError):  # what matters has been brought there by `sync`, which has told
            self._file.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._worded(error) from error

    def _worded(self, error: OSError) -> OSError | DiskError:
        taken = 0
        with suppress(OSError):  # it is not there
            taken = self.path.stat().st_size
        return worded(error, self._called, self._needed, taken)


@contextmanager
def replacing(path: Path, needed: int | None = None) -> Iterator[File]:
    """Yields a new file beside `path`; at the end it takes the place of `path` in one step.

    Where `path` is a link, what it leads to is replaced.

    Args:
        path: The file.
        needed: Bytes that it is going to have, if that is known.

    Raises:
        FileExistsError: `path` is there and not a file, for example a device.
        DiskError: The disk has no room for it, or fails.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise FileExistsError(errno.EEXIST, "exists and is not a file; move it away", str(path))
    temporary = beside(path)
    try:
        file = File(temporary, path, needed)
        try:
            yield file
            file.sync()
        finally:
            file.close()
        with disk_errors(path, needed):
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def making(folder: Path) -> Iterator[Path]:
    """Yields a new folder beside `folder`, which is not there yet; at the end it becomes `folder` in one step."""
    temporary = beside(folder)
    try:
        with disk_errors(folder):
            temporary.mkdir()
        yield temporary
        with disk_errors(folder):
            _sync([path for path in temporary.rglob("*") if path.is_file()])
            temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_unfinished(folder: Path, age: float = 0.0) -> None:
    """Removes what a process that has gone left half written in a folder, as far as that can be removed.

    Args:
        folder: The folder.
        age: Only what has not changed for so many seconds, DAY where others may be writing there.
    """
    for path in folder.glob(f"{WRITING}*"):
        with suppress(OSError):  # it has just been completed, or is somebody else's
            if UNFINISHED.match(path.name) and (not age or path.stat().st_mtime < time.time() - age):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()


def beside(path: Path) -> Path:
    """A path beside another that nobody else has.

    It has no number of a process: those of two containers can be the same, and share a disk.
    """
    return path.with_name(f"{WRITING}{secrets.token_hex(6)}-{path.name}")


def sync_folder(folder: Path) -> None:
    """Brings the names in a folder to the disk, so that they outlast a loss of power too."""
    if os.name == "posix":  # elsewhere a folder can't be opened
        with disk_errors(folder):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _sync(files: list[Path]) -> None:
    """Brings files to the disk: each, or where there are many all that waits, which takes a hundredth of the time."""
    if len(files) > MANY and hasattr(os, "sync"):
        os.sync()
        return
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Writes a file.

    Raises:
        DiskError: The disk has no room for it, or fails.
    """
    with replacing(path, len(content)) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Writes a text file in UTF-8."""
    write_bytes(path, text.encode("utf-8", ERRORS))


def write_json(path: Path, document: Any) -> None:
    """Writes a JSON file that a person can read too.

    Raises:
        ValueError: There is NaN or infinity in it, which JSON has not.
    """
    write_text(path, as_json(document))


def write_last_json(path: Path, document: Any) -> None:
    """The same; where the disk is full, into the room that `reserve` has kept, which is given back in any case."""
    try:
        write_json(path, document)
    except DiskError:
        if not _written_into_room(path, as_json(document).encode("utf-8", ERRORS)):
            raise
    finally:
        release(path)


def as_json(document: Any) -> str:
    """The text of a JSON file that a person can read too."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_within(path: Path, content: Iterable[bytes | memoryview]) -> None:
    """Writes a new file in a folder that `making` makes, which need not be whole before the folder is.

    Raises:
        FileExistsError: It is there already.
        DiskError: The disk has no room for it, or fails.
    """
    file = File(path, path)
    try:
        for block in content:
            file.write(block)
        with disk_errors(path):
            file._file.flush()
    finally:
        file.close()


def append(path: Path, line: str, sync: bool = False) -> None:
    """Adds a line to a file, whole or not at all; arguments else as of `append_bytes`.

    Raises:
        DiskError: The disk has no room for it, or fails.
    """
    append_bytes(path, f"{line}\n".encode("utf-8", ERRORS), sync)


def append_bytes(path: Path, content: bytes, sync: bool = False) -> None:
    """Adds to a file, all or nothing.

    Args:
        path: The file.
        content: What is added.
        sync: Whether it is brought to the disk, so that it outlasts a loss of power too.

    Raises:
        DiskError: The disk has no room for it, or fails.
    """
    with disk_errors(path, len(content)), path.open("ab", buffering=0) as file:
        before = os.fstat(file.fileno()).st_size
        try:
            written = 0
            while written < len(content):  # a disk that is nearly full takes a part
                written += file.write(content[written:])
            if sync:
                os.fsync(file.fileno())
        except OSError:
            file.truncate(before)
            raise


def make_folder(folder: Path, parents: bool = False, exist_ok: bool = False) -> None:
    """Makes a folder, as `Path.mkdir` does.

    Raises:
        DiskError: The disk has no room for it, or fails.
    """
    with disk_errors(folder):
        folder.mkdir(parents=parents, exist_ok=exist_ok)


def reserve(path: Path) -> None:
    """Keeps room beside a file, so that it can be written anew, somewhat longer, when the disk is full.

    Raises:
        DiskError: The disk has no room for it, or fails; what was kept before still is.
    """
    room, size = _room_of(path), 2 * path.stat().st_size + _SPARE
    before = room.stat().st_size if room.exists() else 0
    try:
        with disk_errors(path, size), room.open("ab", buffering=0) as file:
            while before < size:
                before += file.write(b" " * (size - before))
    except DiskError:
        if not before:
            release(path)
        raise


def release(path: Path) -> None:
    """Gives the room that `reserve` has kept back; where there is none, nothing is done."""
    _room_of(path).unlink(missing_ok=True)


def _written_into_room(path: Path, content: bytes | memoryview) -> bool:
    """Writes a file into the room that is kept for it; whether there was as much."""
    room = _room_of(path)
    if not room.is_file() or room.stat().st_size < len(content):
        return False
    with disk_errors(path, len(content)):
        with room.open("r+b") as file:
            file.write(content)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
        room.replace(path)
    return True


def _room_of(path: Path) -> Path:
    return path.with_name(f"{_ROOM}{path.name}")
