"""New images: the files that the words of a command mean, be they files, folders or archives."""

from __future__ import annotations

import codecs
import glob
import os
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cnnkit.core import own_folders
from cnnkit.core.errors import DataError, UsageError
from cnnkit.core.progress import Progress
from cnnkit.core.text import counted
from cnnkit.data.files import archives
from cnnkit.data.files.decoding import LEADS_NOWHERE
from cnnkit.data.files.walking import HIDDEN, files_below, how_many, refuse_run_as_images, why_not


@dataclass(frozen=True, slots=True)
class NewImage:
    """An image to predict. There may be millions of them, so it has little to keep.

    Attributes:
        name: What it is called: its path, which for one in an archive goes on behind the archive's.
        file: Where its content lies.
        below: Its path below the folder, or the archive, that was named; its file name if it was named itself.
        error: Why it can't be read, if that is known already; it may be a folder then.
    """

    name: str
    file: str
    below: str
    error: str | None = None


@dataclass(frozen=True)
class Found:
    """What the words of a command mean.

    Attributes:
        images: The images, and what can't be read.
        left_out: Reasons why other files below the folders are not taken for images, with how many there are of each.
    """

    images: list[NewImage]
    left_out: Counter[str]


def listed(content: bytes) -> list[Path]:
    """The paths of a list: one a line, or with a zero byte behind each, as `find -print0` writes them.

    Raises:
        UsageError: There are none.
    """
    content = content.removeprefix(codecs.BOM_UTF8)  # some editors of Windows put it before a text
    parts = content.split(b"\0") if b"\0" in content else [line.removesuffix(b"\r") for line in content.split(b"\n")]
    paths = [Path(os.fsdecode(part)) for part in parts if part]
    if not paths:
        raise UsageError("-: standard input names no files; give it a list of paths, one a line")
    return paths


def expanded(word: Path) -> tuple[list[Path], Counter[str]]:
    """What a pattern (`*`, `?`, `[a-z]`, `**`) matches, in the order of the names; a word that is none means itself.

    A word that is the path of something is no pattern. What `**` comes to in a folder of cnnkit's own is left out, as
    it is below a folder that is named.

    Returns:
        The paths; and reasons why others are left out, with how many there are of each.

    Raises:
        UsageError: A pattern matches nothing.
    """
    if not glob.has_magic(str(word)) or os.path.lexists(word):
        return [word], Counter()
    # Not `Path.glob`, which takes no absolute pattern and lets `*` match hidden files.
    matched = [Path(path) for path in sorted(glob.glob(str(word), recursive=True))]  # noqa: PTH207
    own: Counter[str] = Counter()
    if "**" in word.parts:
        whose = cache(own_folders.whose)
        named = word.parts.index("**")  # as many parts of each path are as they were typed
        files = [path for path in matched if not path.is_dir()]  # what is below folders it matches itself
        matched = []
        for path in files:
            below = [above for above in path.parents if len(above.parts) > named]
            if reason := next(filter(None, map(whose, reversed(below))), None):
                own[reason] += 1
            else:
                matched.append(path)
    if not matched:
        more = f"; left out: {by_reason(own)}" if own else ""
        raise UsageError(f"{word}: no file matches this pattern{more}")
    return matched, own


def find_images(paths: Sequence[Path | str], progress: Progress, listed: Collection[Path] = ()) -> Found:
    """The files among the paths, and the images below the folders and in the archives among them.

    Args:
        paths: The paths.
        progress: Is told how far it is.
        listed: Those of them that nobody has typed: they come from a list, or a pattern matches them. One that is not
            there, or holds no images, can't be read, and the rest goes on.

    Raises:
        UsageError: Another path does not exist.
        DataError: Another folder or archive holds no image, or such an archive can't be read.
    """
    found = Found([], Counter())
    for path in map(Path, paths):
        try:
            meant = _meant(path, progress)
        except (UsageError, DataError) as error:
            if path not in listed:
                raise
            meant = _unreadable(path, error.problems[0].message.removeprefix(str(path)).lstrip(": "))
        found.images.extend(meant.images)
        found.left_out.update(meant.left_out)
    return found


def _meant(path: Path, progress: Progress) -> Found:
    """What a path means.

    Raises:
        UsageError: It does not exist.
        DataError: It is a folder or an archive and holds no image, or an archive that can't be read.
    """
    try:
        path.stat()
    except OSError as error:
        if path.is_symlink():
            return _unreadable(path, LEADS_NOWHERE)
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            raise UsageError(f"{path}: there is no such file or folder") from None
        return _unreadable(path, f"can't be read: {error.strerror}")
    if path.is_dir():
        refuse_run_as_images(path)
        # A link to a folder above it is not followed where it is found, but meant where it is named.
        return _below(path, path.resolve() if path.is_symlink() else path)
    if not archives.is_archive(path):
        return Found([NewImage(str(path), str(path), path.name)], Counter())
    try:
        folder = archives.unpacked(path, progress)
    except DataError as error:  # it names a setting of a source, but there is none here
        raise error.without_settings() from None
    return _below(path, folder)


def _unreadable(path: Path, reason: str) -> Found:
    return Found([NewImage(str(path), str(path), path.name, reason)], Counter())


def _below(named: Path, folder: Path) -> Found:
    """What is below a folder; `named` is what it, or the archive that it was in, is called."""
    images: list[NewImage] = []
    others: list[str] = []
    above = os.path.join(named, "") if named.parts else ""  # noqa: PTH118
    begin, as_named = len(str(folder)), named == folder

    def add(path: str, error: str | None = None) -> None:
        below = path[begin:].lstrip("/")
        name = f"{above}{below}" if below else str(named)
        images.append(NewImage(name, name if as_named else path, below, error))

    for path in files_below(folder, lambda error: add(error.filename, f"can't be read: {error.strerror}")):
        if why_not(path):
            others.append(path)
        else:
            add(path)
    reasons = left_out(others)
    if not images:
        raise no_images(named, reasons)
    return Found(images, reasons)


def left_out(paths: Iterable[str]) -> Counter[str]:
    """Reasons why paths that `files_below` gives are not taken for images, with how many files there are of each."""
    found: Counter[str] = Counter()
    for path in paths:
        reason = why_not(path)
        if reason and (reason != HIDDEN or not os.path.isdir(path)):  # noqa: PTH112 - that is not looked into
            found[reason] += how_many(path)
    return found


def no_images(named: Path, others: Counter[str]) -> DataError:
    """That a folder, or an archive, holds none, with what there is instead."""
    return DataError(f"{named} holds no images{f': {by_reason(others)}' if others else ', and no other files'}")


def by_reason(reasons: Counter[str]) -> str:
    """How many files there are of each reason, the most first."""
    return ", ".join(f"{counted(count, 'file')}: {reason}" for reason, count in reasons.most_common())
