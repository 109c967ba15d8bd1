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
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnkit import atomic
from cnnkit.lazy import cache_folder, np
from cnnkit.progress import Progress

_CHECKSUM = 4
"""Bytes of the checksum of an image (CRC-32)."""


@dataclass(frozen=True)
class PixelStore:
    """Images in a file.

    Attributes:
        file: Descriptor of the open file.
        count: How many images.
        shape: Height, width and channels of each.
        checksums: uint32 (count,).
    """

    file: int
    count: int
    shape: tuple[int, int, int]
    checksums: Any

    def read(self, number: int) -> Any:
        """An image, uint8 (height, width, channels); None if it is damaged."""
        size = _size(self.shape)
        content = os.pread(self.file, size, _CHECKSUM * self.count + number * size)
        if len(content) != size or zlib.crc32(content) != self.checksums[number]:
            return None
        return np.frombuffer(content, np.uint8).reshape(self.shape)


def path_of(keys: Sequence[str]) -> Path:
    """Where the images with these keys are kept; `View.key` tells the keys."""
    name = hashlib.blake2b("\n".join(keys).encode(), digest_size=16).hexdigest()
    return cache_folder() / "pixels" / f"{name}.images"


def open_store(keys: Sequence[str], shape: tuple[int, int, int]) -> PixelStore | None:
    """What is kept of the images with these keys; None if there is nothing, or not all."""
    path = path_of(keys)
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return None  # not there, or not readable: it is made anew, and that tells if it can't be
    count = len(keys)
    if os.fstat(file).st_size != count * (_CHECKSUM + _size(shape)):
        os.close(file)
        return None
    os.utime(path)  # the oldest ones go first when room is made
    checksums = np.frombuffer(os.pread(file, _CHECKSUM * count, 0), np.uint32)
    return PixelStore(file, count, shape, checksums)


def bytes_of(count: int, shape: tuple[int, int, int]) -> int:
    """What `count` images take."""
    return count * (_CHECKSUM + _size(shape))


def keep(
    keys: Sequence[str], shape: tuple[int, int, int], images: Iterable[Any], room: int, progress: Progress
) -> PixelStore | None:
    """Keeps images on the disk.

    All of `images` is gone through, whatever happens to the disk.

    Args:
        keys: A key for each image, from `View.key`.
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
        _make_room(path.parent, room - size)
        with atomic.replacing(path) as temporary, temporary.open("wb") as file:
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
    except OSError as error:
        progress.say(
            f"decoded images are not kept: {error.filename or path} can't be written: {error.strerror or error}; "
            "they are decoded again for every batch, which is slower"
        )
        for _ in images:
            pass
        return None
    return open_store(keys, shape)


def _reserve(file: int, size: int) -> None:
    """Takes the room on the disk, so that a disk too small is known before the work and not after half of it."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file, 0, size)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # some file systems can't tell before
                raise


def _make_room(folder: Path, room: int) -> None:
    """Removes what killed runs left, and of the others the oldest until `room` bytes are enough for all that stays."""
    for left in folder.glob(f"{atomic.WRITING}*"):
        if _abandoned(left):
            left.unlink(missing_ok=True)
    kept = sorted(((path.stat(), path) for path in folder.glob("*.images")), key=lambda entry: entry[0].st_mtime_ns)
    total = sum(known.st_size for known, _ in kept)
    for known, path in kept:
        if total > room:
            path.unlink(missing_ok=True)
            total -= known.st_size


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
