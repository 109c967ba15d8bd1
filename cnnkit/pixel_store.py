"""Pixels on the disk: images as the network is shown them, in one file of the cache for each data set and view.

The file is named by the hash of all that decides its content, so it is never stale: other images, other steps, other
name. It takes its name when it is whole, so what a killed run leaves is never read; two runs that make the same one at
the same time each write their own, and the last takes the place of the first. In front of the pixels stands a checksum
of each image, so that a damaged one is decoded again. Reading takes no more memory than the images that are asked for.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import time
import weakref
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnkit import atomic
from cnnkit.lazy import cache_folder, np
from cnnkit.progress import Progress

_ENDING = ".images"
"""How the names of the files end."""

_CHECKSUM = 4
"""Bytes of the checksum of an image (CRC-32)."""


@dataclass(frozen=True)
class PixelStore:
    """Images in a file.

    Attributes:
        path: The file; it may be gone meanwhile, as other runs make room.
        file: Descriptor of the open file, closed when the store is not used any more.
        count: How many images.
        shape: Height, width and channels of each.
        checksums: uint32 (count,).
    """

    path: Path
    file: int
    count: int
    shape: tuple[int, int, int]
    checksums: Any

    def __post_init__(self) -> None:
        weakref.finalize(self, os.close, self.file).atexit = False

    def read(self, number: int) -> Any:
        """An image, uint8 (height, width, channels); None if it is damaged: then the next run makes the file anew."""
        size = _size(self.shape)
        try:
            content = os.pread(self.file, size, _CHECKSUM * self.count + number * size)
        except OSError:  # a disk that fails: as good as damaged
            content = b""
        if len(content) != size or zlib.crc32(content) != self.checksums[number]:
            self._remove()
            return None
        return np.frombuffer(content, np.uint8).reshape(self.shape)

    def _remove(self) -> None:
        """Removes the file, unless another run has put a new one in its place."""
        with suppress(OSError):  # gone already, or not to be written to
            if os.path.samestat(self.path.stat(), os.fstat(self.file)):
                self.path.unlink()


def path_of(keys: Sequence[str]) -> Path:
    """Where the images with these keys are kept; `View.keys` tells the keys."""
    name = hashlib.blake2b("\n".join(keys).encode(), digest_size=16).hexdigest()
    return cache_folder() / "pixels" / f"{name}{_ENDING}"


def open_store(keys: Sequence[str], shape: tuple[int, int, int]) -> PixelStore | None:
    """What is kept of the images with these keys; None if there is nothing, or not all."""
    path = path_of(keys)
    try:
        store = _opened(path, path, len(keys), shape)
    except OSError:
        return None  # not there, or not readable: it is made anew, and that tells if it can't be
    with suppress(OSError):  # of a cache that can't be written to
        os.utime(path)  # the oldest ones go first when room is made
    return store


def bytes_of(count: int, shape: tuple[int, int, int]) -> int:
    """What `count` images take."""
    return count * (_CHECKSUM + _size(shape))


def keep(
    keys: Sequence[str], shape: tuple[int, int, int], images: Iterable[Any], room: int, progress: Progress
) -> PixelStore | None:
    """Keeps images on the disk.

    All of `images` is gone through, whatever happens to the disk.

    Args:
        keys: A key for each image, from `View.keys`.
        shape: Height, width and channels of each.
        images: uint8 (height, width, channels) each, in their order.
        room: Bytes that all such files may take together; the oldest make room.
        progress: Is told if it can't be.

    Returns:
        The images; None if they can't be kept, which one line tells.
    """
    path = path_of(keys)
    images = iter(images)
    size = bytes_of(len(keys), shape)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _make_room(path, room - size)
        with atomic.replacing(path) as temporary:
            with temporary.open("wb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # whoever clears up knows by it that somebody still writes
                _reserve(file.fileno(), size)
                checksums = np.zeros(len(keys), np.uint32)
                file.seek(checksums.nbytes)
                for i, image in enumerate(images):
                    content = np.ascontiguousarray(image).data
                    checksums[i] = zlib.crc32(content)
                    file.write(content)
                file.seek(0)
                file.write(checksums.tobytes())
                file.flush()
                os.fsync(file.fileno())  # it may take long, so it is done under the lock
                os.utime(file.fileno())  # and then it counts as new again
            # Opened before it has its name, as from then on another run may remove it to make room.
            store = _opened(temporary, path, len(keys), shape)
    except OSError as error:
        progress.say(
            f"decoded images are not kept: {error.filename or path} can't be written: {error.strerror or error}; "
            "they are decoded again for every batch, which is slower"
        )
        for _ in images:
            pass
        return None
    return store


def _opened(file: Path, path: Path, count: int, shape: tuple[int, int, int]) -> PixelStore | None:
    """What lies in `file`, which is or will be called `path`; None if that is not whole."""
    with file.open("rb") as opened:
        if os.fstat(opened.fileno()).st_size != bytes_of(count, shape):
            return None
        checksums = np.frombuffer(opened.read(_CHECKSUM * count), np.uint32)
        return PixelStore(path, os.dup(opened.fileno()), count, shape, checksums)


def _reserve(file: int, size: int) -> None:
    """Takes the room on the disk, so that a disk too small is known before the work and not after half of it."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file, 0, size)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # some file systems can't tell before
                raise


def _make_room(path: Path, room: int) -> None:
    """Makes room in the folder of a file that is about to be written.

    What killed runs have left is removed, then the oldest files, until `room` bytes are enough for all that stays.

    Raises:
        OSError: What other runs are writing at the moment leaves too little.
    """
    total = 0
    kept: list[tuple[os.stat_result, Path]] = []
    for other in path.parent.iterdir():
        try:
            known = other.stat()
        except FileNotFoundError:
            continue  # another run was faster
        if other.name.startswith(atomic.WRITING) and _abandoned(other):
            other.unlink(missing_ok=True)
        elif other.name.endswith(path.name):
            continue  # the same file, or one that another run makes: in the end there will be one of them
        elif other.name.endswith(_ENDING):
            total += known.st_size
            if not other.name.startswith(atomic.WRITING):
                kept.append((known, other))
    for known, other in sorted(kept, key=lambda entry: entry[0].st_mtime_ns):
        if total > room:
            other.unlink(missing_ok=True)
            total -= known.st_size
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


def _size(shape: tuple[int, int, int]) -> int:
    height, width, channels = shape
    return height * width * channels
