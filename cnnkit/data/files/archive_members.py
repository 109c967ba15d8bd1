"""What is in an archive, member by member, with nothing in it believed: a zip, or a tar in any of its compressions."""

from __future__ import annotations

import bz2
import gzip
import itertools
import lzma
import re
import stat
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal, cast

from cnnkit.core import atomic
from cnnkit.core.cache import cache_folder
from cnnkit.core.progress import Progress
from cnnkit.core.text import in_mib, printable

RATIO = 100
"""What comes out is at most so many times the archive's size; pictures hardly ever reach 10."""

ALLOWANCE = 256 * 2**20
"""Bytes that may come out beyond that, so that a small archive of bare drawings is no bomb."""

BLOCK = 2**20
"""Bytes that are read at a time."""

HEADER = 2**16
"""Bytes that a tar may spend on the name and the notes of one member."""

DEPTH = 100
"""Folders that a file may lie in; with many more it could not even be removed again."""

Kind = Literal["zip", "tar", "gz", "bz2", "xz"]
"""The format of an archive; the last three are compressed tars."""

Members = Iterator[tuple[str, Iterator[bytes] | None]]
"""Name and content of each member, to be read before the next is asked for; None for a folder."""


class Refused(Exception):
    """The archive is not unpacked; the text says why, and names the member."""


def most_out_of(size: int) -> int:
    """Bytes that may come out of a compressed file of a size, of any kind."""
    return RATIO * size + ALLOWANCE


def too_much(most: int) -> str:
    """What is said of a file that more would come out of."""
    share = f"{RATIO} times its size and {in_mib(ALLOWANCE)}"
    return f"unpacks to more than {in_mib(most)}, which is {share}: it looks like a bomb; if it is none, "


class Budget:
    """Counts what comes out of an archive, and ends it when that is too much."""

    def __init__(self, size: int, room: int):
        self.most = most_out_of(size)
        self.room = room
        self.spent = 0

    def spend(self, count: int) -> None:
        """So much has come out."""
        self.spent += count
        self.expect(self.spent)

    def expect(self, total: int) -> None:
        """So much is to come out in all."""
        if total > self.most:
            raise Refused(f"{too_much(self.most)}unpack it yourself and name the folder")
        if total > self.room:
            raise Refused(
                f"unpacks to more than {in_mib(self.room)}, for which {cache_folder()} has no room; make room, or "
                "let CNNKIT_CACHE name a folder on another disk"
            )


def kind_of(path: Path) -> Kind | None:
    """The format of an archive, by its beginning; None if a file is none, as a compressed file that is no tar."""
    with path.open("rb") as file:
        begin = file.read(tarfile.BLOCKSIZE)
        if begin[:4] in (b"PK\3\4", b"PK\5\6", b"PK\7\x08"):
            return "zip"
        if _begins_a_tar(begin):
            return "tar"
        compressions: dict[bytes, Kind] = {b"\x1f\x8b": "gz", b"BZh": "bz2", b"\xfd7zXZ\0": "xz"}
        kind = next((kind for magic, kind in compressions.items() if begin.startswith(magic)), None)
        if kind is None:
            return None
        file.seek(0)
        try:
            return kind if _begins_a_tar(_decompressed(file, kind).read(tarfile.BLOCKSIZE)) else None
        except (OSError, EOFError, ValueError, MemoryError, zlib.error, lzma.LZMAError):
            # Damaged from the beginning; its name tells whether it was meant as one.
            return kind if path.name.lower().endswith((".tgz", f".tar.{kind}")) else None


def _begins_a_tar(block: bytes) -> bool:
    """Whether a block is the header of a tar's first member."""
    if block[257:262] == b"ustar":
        return True
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", atomic.ERRORS)  # an old one shows by its checksum alone
    except (tarfile.TarError, ValueError):
        return False
    return True


def members_of(path: Path, kind: Kind, budget: Budget, progress: Progress) -> Members:
    """Reads an archive from its beginning to its end.

    Raises:
        Refused: It is damaged, holds what is no plain file, or more than the budget allows.
    """
    with ExitStack() as stack:
        if kind == "zip":
            with _refusing("is damaged, or not complete"):
                archive = stack.enter_context(zipfile.ZipFile(path))
            total = sum(info.file_size for info in archive.infolist())
            budget.expect(total)
            advance = stack.enter_context(progress.task(f"unpacking {path.name}", total))
            yield from _zip_members(archive, budget, advance)
        else:
            file = stack.enter_context(path.open("rb"))
            advance = stack.enter_context(progress.task(f"unpacking {path.name}", path.stat().st_size))
            yield from _tar_members(_Stream(file, kind, budget, advance))


def paths_in(path: Path, members: int, room: int) -> Iterator[tuple[str, ...]]:
    """The paths of the files in an archive, from its beginning on, without unpacking it; none if it is no archive.

    Args:
        path: The archive.
        members: So many files and folders are looked at.
        room: At most so many bytes of a tar are read, which has its names between its files; a zip has them together.

    Raises:
        Refused: It is damaged, or not safe to unpack, or there is no more room.
    """
    with _refusing("is damaged"):
        kind = kind_of(path)
        if kind is None:
            return
        budget = Budget(path.stat().st_size, sys.maxsize if kind == "zip" else room)
        for name, content in itertools.islice(members_of(path, kind, budget, Progress()), members):
            if content is not None:
                yield parts_of(name)
                if kind != "zip":
                    for _ in content:
                        pass


def parts_of(name: str) -> tuple[str, ...]:
    """The path of a member below the folder.

    Raises:
        Refused: It would lead elsewhere on this or another system, or can't be shown.
    """
    if not printable(name):
        raise Refused(f"{quoted(name)} has a control character in its name")
    if "\\" in name:
        raise Refused(f"{quoted(name)} has a backslash in its name, which parts folders on Windows alone")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if name.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:", name):
        raise Refused(f"{quoted(name)} would lie outside of the folder that it is unpacked to")
    if len(parts) > DEPTH:
        raise Refused(f"{quoted(name)} lies in more than {DEPTH} folders")
    return parts


def quoted(name: str) -> str:
    """A member's name in backquotes, in one line, and no longer than one reads."""
    safe = name.encode("utf-8", "backslashreplace").decode()
    safe = "".join(sign if printable(sign) else sign.encode("unicode_escape").decode() for sign in safe)
    return f"`{safe if len(safe) <= 100 else f'{safe[:60]}...{safe[-37:]}'}`"


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    """Refuses an archive when a parser or a decompressor fails, which raises many kinds on damaged content."""
    try:
        yield
    except Refused:
        raise
    except Exception as error:
        raise Refused(f"{what}: {str(error) or type(error).__name__}") from None


def _refuse_special(name: str, link: bool, plain: bool) -> None:
    if link:
        raise Refused(
            f"{quoted(name)} is a link; links are not unpacked, so pack what it leads to (as zip and tar -h do)"
        )
    if not plain:
        raise Refused(f"{quoted(name)} is neither a file nor a folder, but a device or the like")


# Zip


def _zip_members(archive: zipfile.ZipFile, budget: Budget, advance: Callable[[int], None]) -> Members:
    for info in archive.infolist():
        name = info.orig_filename
        if not info.flag_bits & 0x800:
            # Not marked as UTF-8, though macOS writes it so; what is none is CP437, as the format has it.
            with suppress(UnicodeError):
                name = name.encode("cp437").decode("utf-8")
        mode = info.external_attr >> 16
        _refuse_special(name, stat.S_ISLNK(mode), stat.S_IFMT(mode) in (0, stat.S_IFREG, stat.S_IFDIR))
        if info.flag_bits & 0x41:
            raise Refused(f"{quoted(name)} is encrypted; unpack it yourself with its password, and name the folder")
        yield name, None if name.endswith("/") else _zip_content(archive, info, name, budget, advance)


def _zip_content(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, budget: Budget, advance: Callable[[int], None]
) -> Iterator[bytes]:
    with _refusing(f"{quoted(name)} is damaged"), archive.open(info) as file:
        while block := file.read(BLOCK):
            budget.spend(len(block))
            advance(len(block))
            yield block


# Tar


class _Stream:
    """The bytes of a tar from its compressed file, read once from beginning to end, as `tarfile` asks for them.

    `tarfile` reads headers as long as they say they are, and takes a damaged one for the end. So headers have a limit
    here, and the last block that was read is kept.
    """

    def __init__(self, file: IO[bytes], kind: Kind, budget: Budget, advance: Callable[[int], None]):
        self.file = file
        self.content = _decompressed(file, kind)
        self.budget = budget
        self.advance = advance
        self.at = 0
        self.reported = 0
        self.header_left = HEADER
        self.last = b""

    def tell(self) -> int:
        """How much was read."""
        return self.at

    def seek(self, to: int) -> None:
        """Goes on to a place, as `tarfile` does over what fills the last block of a file."""
        while self.at < to and self.read(min(to - self.at, BLOCK)):
            pass
        if self.at != to:
            raise tarfile.ReadError("unexpected end, or a size below zero")

    def read(self, count: int) -> bytes:
        """What `tarfile` reads itself: headers."""
        self.header_left -= count
        if count < 0 or self.header_left < 0:
            raise tarfile.ReadError(f"a header of more than {HEADER:,} bytes")
        self.last = self.take(count)
        return self.last

    def take(self, count: int) -> bytes:
        """At most so many bytes; none at the end."""
        block = self.content.read(count)
        self.at += len(block)
        self.budget.spend(len(block))
        position = self.file.tell()
        self.advance(position - self.reported)
        self.reported = position
        return block


def _tar_members(stream: _Stream) -> Members:
    what, where = "is damaged, or not complete", "at its beginning"
    with _refusing(f"{what}, {where}"):
        # A Unix name is bytes; what is not UTF-8 is kept byte by byte.
        archive: Any = tarfile.TarFile(fileobj=cast(IO[bytes], stream), encoding="utf-8", errors=atomic.ERRORS)
    while True:
        with _refusing(f"{what}, {where}"):
            member = archive.next()
        if member is None:
            break
        archive.members.clear()  # `tarfile` keeps them all, a gigabyte for a million
        name = member.name
        _refuse_special(name, member.issym() or member.islnk(), member.isdir() or member.isreg())
        if member.issparse() or member.size < 0:
            raise Refused(f"{quoted(name)} is damaged, or a sparse file, which is not read")
        stream.budget.expect(stream.budget.spent + member.size)
        yield name, None if member.isdir() else _tar_content(stream, member.size, name)
        stream.header_left = HEADER
        where = f"behind {quoted(name)}"
    if stream.last != bytes(tarfile.BLOCKSIZE):
        raise Refused(f"{what}, {where}: its end is missing")
    with _refusing(what):
        while stream.take(BLOCK):  # the checksum of the compression stands at its very end
            pass


def _tar_content(stream: _Stream, size: int, name: str) -> Iterator[bytes]:
    left = size
    while left:
        with _refusing(f"{quoted(name)} is damaged"):
            block = stream.take(min(left, BLOCK))
        if not block:
            raise Refused(f"is not complete: it ends within {quoted(name)}")
        left -= len(block)
        yield block


def _decompressed(file: IO[bytes], kind: Kind) -> IO[bytes]:
    """The bytes of a file that is compressed in some way, or not."""
    openers: dict[str, Any] = {"gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}
    return cast(IO[bytes], openers[kind](file)) if kind in openers else file
