"""Pixels on the disk: images as the network is shown them, in a few files of the cache for each view.

A file is never stale: each image in it is named by the hash of all that decides what becomes of it
(`Preprocessing.keys`). So a run takes those of its images that are in any file of its view, and makes the others. A
file takes its name when it is whole, so what a killed run leaves is never read; two runs that make the same one at the
same time each write their own, and the last takes the place of the first. Reading takes no more memory than the images
that are asked for.

A file holds the pixels of all its images, then their keys, then a checksum of each, so that a damaged one is not read:
it loses its key, and the next run makes it anew.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import time
import weakref
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from math import prod
from pathlib import Path
from typing import Any

from cnnkit.core import atomic, cache, disk
from cnnkit.core.cache import cache_folder, why_not_written
from cnnkit.core.errors import DiskError
from cnnkit.core.lazy import np
from cnnkit.core.progress import Progress

Shape = tuple[int, int, int]
"""Height, width and channels of an image."""

_ENDING = ".images"
"""How the names of the files end."""

_KEY = 16
"""Bytes of the key of an image."""

_CHECKSUM = 4
"""Bytes of the checksum of an image (CRC-32 of its key and pixels)."""

_NOWHERE = (-1, -1)
"""The place of an image that is in no file."""


@dataclass(frozen=True)
class PixelFile:
    """A file of images.

    Attributes:
        path: The file; it may be gone meanwhile, as other runs make room.
        file: Its descriptor, closed when this is not used any more.
        shape: Height, width and channels of each image.
        keys: The key of each.
        checksums: uint32 (images,).
    """

    path: Path
    file: int
    shape: Shape
    keys: Sequence[bytes]
    checksums: Any

    def __post_init__(self) -> None:
        weakref.finalize(self, os.close, self.file).atexit = False

    def read(self, row: int) -> Any:
        """An image, uint8 (height, width, channels); None if it is damaged: then the next run makes it anew."""
        size = prod(self.shape)
        try:
            content = os.pread(self.file, size, row * size)
        except OSError:  # a disk that fails: as good as damaged
            content = b""
        if len(content) != size or _checksum(self.keys[row], content) != self.checksums[row]:
            self._forget(row)
            return None
        return np.frombuffer(content, np.uint8).reshape(self.shape)

    def _forget(self, row: int) -> None:
        """Takes its key from an image, unless another run has put a new file in the place of this one."""
        with suppress(OSError), self.path.open("r+b") as file:  # gone already, or not to be written to
            if os.path.samestat(os.fstat(file.fileno()), os.fstat(self.file)):
                os.pwrite(file.fileno(), bytes(_KEY), len(self.keys) * prod(self.shape) + row * _KEY)


@dataclass(frozen=True)
class PixelStore:
    """Images by their number, each in one of some files or in none.

    Attributes:
        digest: Of what makes them, `Preprocessing.digest`; the names of their files begin with it.
        keys: The key of each, from `Preprocessing.keys`.
        shape: Height, width and channels of each.
        files: The files.
        places: int64 (images, 2), the file of each image and its row there; `_NOWHERE` if it is in none.
    """

    digest: str
    keys: Sequence[bytes]
    shape: Shape
    files: Sequence[PixelFile] = ()
    places: Any = None

    @classmethod
    def open(cls, digest: str, keys: Sequence[bytes], shape: Shape) -> PixelStore:
        """What is kept of the images with these keys."""
        new = cls(digest, keys, shape)
        store = new._in(new._all_files())
        for file in store.files:
            with suppress(OSError):  # of a cache that can't be written to
                os.utime(file.path)  # the oldest ones go first when room is made
            cache.note(file.path)
        return store

    def __contains__(self, number: int) -> bool:
        return bool(self.places[number, 0] >= 0)

    def read(self, number: int) -> Any:
        """An image, uint8 (height, width, channels); None if it is in no file, or damaged."""
        file, row = self.places[number]
        return self.files[file].read(row) if file >= 0 else None

    def take(self, numbers: Sequence[int]) -> PixelStore:
        """The images with these numbers alone."""
        places = self.places[np.asarray(numbers, np.int64)]
        return replace(self, keys=[self.keys[i] for i in numbers], places=places)

    @property
    def path(self) -> Path:
        """The file that `keep` writes."""
        name = hashlib.blake2b(b"".join(self.keys), digest_size=16).hexdigest()
        return _folder() / f"{self.digest}-{name}{_ENDING}"

    def keep(self, images: Iterable[tuple[int, Any]], room: int, progress: Progress, otherwise: str) -> PixelStore:
        """Keeps images in a new file, which takes the place of those of the same digest that hold nothing else.

        All of `images` is gone through, whatever happens to the disk. Where there are none, nothing is written.

        Args:
            images: Those that there are, in any order: the number and uint8 (height, width, channels) of each.
            room: Bytes that all such files may take together; the oldest make room.
            progress: Is told if it can't be.
            otherwise: What happens then.

        Returns:
            The images in the new file; these as they are if they can't be kept, which one line tells.
        """
        images = iter(images)
        first = next(images, None)
        if first is None:
            return self
        of_the_images: list[OSError] = []
        try:
            atomic.make_folder(self.path.parent, parents=True, exist_ok=True)
            every = {*self.keys, bytes(_KEY)}
            files = [file for file in self._all_files() if every.issuperset(file.keys)]
            replaced = [file.path for file in files if file.path != self.path]
            _make_room(self.path, room - bytes_of(len(self.keys), self.shape), replaced)
            file = self._written(chain([first], _noting(of_the_images, images)))
            for other in replaced:
                with suppress(OSError):  # then it goes when room is made
                    other.unlink()
            cache.note(self.path)
        except (OSError, DiskError) as error:
            if error in of_the_images:
                raise
            progress.say(f"decoded images are not kept: {why_not_written(error, self.path)}; {otherwise}")
            deque(images, 0)
            return self
        return self._in([file] if file else [])

    def _in(self, files: Iterable[PixelFile]) -> PixelStore:
        """The same images from files, as few as may be."""
        missing = set(self.keys)
        used: list[PixelFile] = []
        places: dict[bytes, tuple[int, int]] = {}
        for file in files:
            found = {key: (len(used), row) for row, key in enumerate(file.keys) if key in missing}
            if found:
                used.append(file)
                places |= found
                missing -= found.keys()
            if not missing:
                break
        of_each = np.array([places.get(key, _NOWHERE) for key in self.keys], np.int64).reshape(-1, 2)
        return replace(self, files=used, places=of_each)

    def _all_files(self) -> Iterator[PixelFile]:
        """The files of this digest, the largest first."""
        found: list[tuple[int, Path]] = []
        for path in _folder().glob(f"{self.digest}-*{_ENDING}"):
            with suppress(OSError):  # another run has removed it
                found.append((path.stat().st_size, path))
        for _, path in sorted(found, reverse=True):
            with suppress(OSError):
                if file := _opened(path, path, self.shape):
                    yield file

    def _written(self, images: Iterable[tuple[int, Any]]) -> PixelFile | None:
        """Writes the new file, and opens it."""
        with atomic.replacing(self.path) as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # whoever clears up knows by it that somebody still writes
            file.reserve(bytes_of(len(self.keys), self.shape))
            self._write(file, images)
            file.sync()  # it may take long, so it is done under the lock
            os.utime(file.fileno())  # and then it counts as new again
            # Opened before it has its name, as from then on another run may remove it to make room.
            return _opened(file.path, self.path, self.shape)

    def _write(self, file: atomic.File, images: Iterable[tuple[int, Any]]) -> None:
        """Writes all that is in the file: each image once, and nothing behind."""
        checksums: dict[bytes, int] = {}
        for number, image in images:
            key = self.keys[number]
            if key not in checksums:
                content = np.ascontiguousarray(image).data
                checksums[key] = _checksum(key, content)
                file.write(content)
        file.write(b"".join(checksums))
        file.write(np.array(list(checksums.values()), np.uint32).tobytes())


def bytes_of(count: int, shape: Shape) -> int:
    """What `count` images take."""
    return count * (prod(shape) + _KEY + _CHECKSUM)


def _noting(errors: list[OSError], images: Iterator[Any]) -> Iterator[Any]:
    """The images; an OSError that making them raises, and not the disk that they are kept on, is noted."""
    try:
        yield from images
    except OSError as error:
        errors.append(error)
        raise


def _folder() -> Path:
    return cache_folder() / "pixels"


def _opened(file: Path, path: Path, shape: Shape) -> PixelFile | None:
    """What lies in `file`, which is or will be called `path`; None if that is not whole."""
    with file.open("rb") as opened:
        count, over = divmod(os.fstat(opened.fileno()).st_size, bytes_of(1, shape))
        opened.seek(count * prod(shape))
        keys = opened.read(count * _KEY)
        checksums = np.frombuffer(opened.read(), np.uint8)
        if over or len(checksums) != count * _CHECKSUM:
            return None
        apart = [keys[i : i + _KEY] for i in range(0, len(keys), _KEY)]
        return PixelFile(path, os.dup(opened.fileno()), shape, apart, checksums.view(np.uint32))


def _checksum(key: bytes, content: Any) -> int:
    return zlib.crc32(content, zlib.crc32(key))


def _make_room(path: Path, room: int, replaced: Sequence[Path]) -> None:
    """Makes room in the folder of a file that is about to be written.

    What killed runs have left is removed; then, until `room` bytes are enough for all that stays, what the new file is
    going to replace, and the oldest.

    Raises:
        OSError: What other runs are writing at the moment leaves too little.
    """
    total = 0
    removable: list[tuple[os.stat_result, Path]] = []
    for other in path.parent.iterdir():
        with suppress(FileNotFoundError):  # another run was faster
            found, being_written = other.stat(), other.name.startswith(disk.WRITING)
            if being_written and _abandoned(other):
                other.unlink()
            elif other.name.endswith(_ENDING) and not other.name.endswith(path.name):
                # Of the same file, and those that other runs make of it, there will be one in the end.
                total += found.st_size
                if not being_written:
                    removable.append((found, other))
    for found, other in sorted(removable, key=lambda entry: (entry[1] not in replaced, entry[0].st_mtime_ns)):
        if total > room:
            other.unlink(missing_ok=True)
            total -= found.st_size
    if total > room:
        message = "what other runs are keeping at the moment leaves no room within data.cache.disk_gib"
        raise OSError(errno.EDQUOT, message, str(path))


def _abandoned(path: Path) -> bool:
    """Whether nobody writes to a file any more."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return time.time() - os.fstat(file.fileno()).st_mtime > _JUST_BEGUN
    except OSError:
        return False  # somebody holds it, or has just finished it


_JUST_BEGUN = 60
"""Seconds within which a file may be new and not yet locked by the one who made it."""
