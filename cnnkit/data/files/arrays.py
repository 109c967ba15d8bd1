"""Arrays in NumPy's files, .npy and .npz: what they hold by their headers, and their numbers. Never pickled objects."""

from __future__ import annotations

import lzma
import math
import os
import struct
import tokenize
import zipfile
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from cnnkit.core.errors import DataError
from cnnkit.core.lazy import np
from cnnkit.core.text import first_line, in_gib
from cnnkit.data.files.archive_members import most_out_of, too_much

DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    OverflowError,
)
"""What damaged content raises in `zipfile` and NumPy; RuntimeError is one that is encrypted, or not known."""

PLAIN = ".npy"


@dataclass(frozen=True)
class ArrayFile:
    """An array in a file, as its header tells it.

    Attributes:
        path: The file.
        key: Its name in an .npz; None in an .npy.
        shape: Its axes.
        dtype: NumPy's type of its numbers.
    """

    path: Path
    key: str | None
    shape: tuple[int, ...]
    dtype: Any

    def __str__(self) -> str:
        return f"{self.path}: {self.key}" if self.key else str(self.path)

    def read(self) -> Any:
        """The array: of an .npy a view of the file, of which nothing is in memory yet.

        Raises:
            DataError: It is cut short or damaged, or there is no memory for it.
        """
        needed = math.prod(self.shape) * self.dtype.itemsize
        plain = f"save it as {PLAIN}, which is read piece by piece"
        try:
            if self.key is None:
                return np.load(self.path, mmap_mode="r" if needed else None, allow_pickle=False)
            if lacking := lacking_memory(needed):
                raise DataError(f"{self} {lacking}; {plain}")
            with zipfile.ZipFile(self.path) as packed, packed.open(f"{self.key}{PLAIN}") as file:
                return np.lib.format.read_array(file, allow_pickle=False)
        except MemoryError:
            raise DataError(f"{self} needs {in_gib(needed)}, for which there is no memory; {plain}") from None
        except DAMAGE as error:
            raise DataError(f"{self} is damaged or cut short: {first_line(error)}") from None


def headers(path: Path) -> list[ArrayFile]:
    """The arrays in a file, without their numbers.

    Raises:
        DataError: It is no such file, is damaged or a bomb, or an array holds Python objects.
    """
    try:
        if path.suffix.lower() == PLAIN:
            with path.open("rb") as file:
                return [_header(path, None, file, os.fstat(file.fileno()).st_size)]
        found = []
        with zipfile.ZipFile(path) as packed:
            most = most_out_of(path.stat().st_size)
            if sum(member.file_size for member in packed.infolist()) > most:
                raise DataError(f"{path} {too_much(most)}save its arrays uncompressed, with np.savez or as {PLAIN}")
            for member in packed.infolist():
                if member.filename.endswith(PLAIN):
                    with packed.open(member) as opened:
                        found.append(_header(path, member.filename.removesuffix(PLAIN), opened, member.file_size))
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror or first_line(error)}") from None
    except MemoryError:
        raise DataError(f"{path}: there is no memory for what its headers say") from None
    except DAMAGE as error:
        raise DataError(f"{path} is no .npz file, or a damaged one: {first_line(error)}") from None
    return found


def _header(path: Path, key: str | None, file: IO[bytes], size: int) -> ArrayFile:
    what = f"{path}: {key}" if key else str(path)
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    except (ValueError, SyntaxError, tokenize.TokenError) as error:  # what NumPy raises on headers that are no header
        raise DataError(f"{what} is no {PLAIN} file, or a damaged one: {first_line(error)}") from None
    if dtype.hasobject:
        raise DataError(f"{what} holds Python objects (pickled), which are never loaded; save plain numbers or text")
    there, announced = size - file.tell(), math.prod(shape) * dtype.itemsize
    if min(shape, default=1) < 0 or there != announced:
        raise DataError(f"{what} is damaged or cut short: it holds {there:,} bytes; its header says {announced:,}")
    return ArrayFile(path, key, shape, dtype)


def lacking_memory(needed: int) -> str | None:
    """That so many bytes need more memory than there is, in words; None where they fit, as far as that is known."""
    free = free_memory()
    if free is None or needed <= free:
        return None
    return f"needs {in_gib(needed)} of memory, and {in_gib(free)} are free"


def free_memory() -> int | None:
    """Bytes of memory that can be had now, or where only that is told all of this machine; None where nothing is."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
