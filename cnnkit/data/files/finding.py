"""The files that a table names: as it spells them, with accents encoded otherwise, or by the end of their paths."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from cnnkit.core.errors import DataError
from cnnkit.core.text import counted
from cnnkit.data.files import formats
from cnnkit.data.files.walking import files_below

MOST = 1_000_000
"""Below a folder with more files than this nothing is looked for by the end of its path."""


class Spelling:
    """Files below a folder, also by paths whose accents are encoded in another way than on the disk."""

    def __init__(self, root: Path):
        self.root = str(root)
        self.names: dict[str, dict[str, str]] = {}

    def spelled(self, file: str) -> str | None:
        """The path of a file as the disk spells it; None if there is no such file."""
        if os.path.isfile(os.path.join(self.root, file)):  # noqa: PTH113, PTH118 - a million times
            return file
        if file.isascii():
            return None
        below = "/" if file.startswith("/") else ""
        for part in file.split("/"):
            path = os.path.join(below, part)  # noqa: PTH118
            if not os.path.lexists(os.path.join(self.root, path)):  # noqa: PTH118
                name = self._names_in(below).get(unicodedata.normalize("NFC", part))
                if name is None:
                    return None
                path = os.path.join(below, name)  # noqa: PTH118
            below = path
        return below if os.path.isfile(os.path.join(self.root, below)) else None  # noqa: PTH113, PTH118

    def _names_in(self, folder: str) -> dict[str, str]:
        """From each name in a folder in NFC to the name as it is."""
        if folder not in self.names:
            path = os.path.join(self.root, folder)  # noqa: PTH118
            try:
                there = sorted(os.listdir(path)) if os.path.isdir(path) else []  # noqa: PTH112, PTH208
            except OSError as error:
                raise DataError(f"{path} can't be read: {error.strerror}") from None
            self.names[folder] = {unicodedata.normalize("NFC", name): name for name in there}
        return self.names[folder]


class Move(NamedTuple):
    """What the beginning of a path became, where the file was found by its end.

    Attributes:
        before: The folders that a table writes; `C:/Users/me`, or empty.
        after: Those on the disk, below the folder of the images; may be empty.
        absolute: Whether the table's path is one from the top of a disk.
    """

    before: str
    after: str
    absolute: bool


@dataclass
class Found:
    """What is found of some paths by their ends.

    Attributes:
        files: From a path as it is asked for to the file's below the folder.
        moves: How often the beginning of a path became another.
        several: From a path to the files that have the same end, where there are several.
    """

    files: dict[str, str] = field(default_factory=dict)
    moves: Counter[Move] = field(default_factory=Counter)
    several: dict[str, list[str]] = field(default_factory=dict)

    def in_words(self) -> str:
        """How many were found in this way, and what became what."""
        changes = [f"{_change(move)} ({count:,})" for move, count in self.moves.most_common(3)]
        if len(self.moves) > 3:
            changes.append(f"{len(self.moves) - 3:,} more such changes")
        one = "image of the table is found by the end of its path"
        many = "images of the table are found by the ends of their paths"
        return f"{counted(len(self.files), one, many)}: {'; '.join(changes)}."


class Ends:
    """The image files below a folder, by the ends of their paths; the folder is read once, when first asked.

    Attributes:
        root: The folder.
        complete: Whether all of its files are known; else there are too many, and none is found.
    """

    def __init__(self, root: Path, most: int | None = None):
        self.root = root
        self.complete = True
        self.by_name: dict[str, list[str]] = {}
        self.by_stem: dict[str, list[str]] = {}
        begin = len(str(root).rstrip("/")) + 1
        for number, path in enumerate(files_below(root)):
            if number == (most or MOST):
                self.complete = False
                self.by_name.clear()
                self.by_stem.clear()
                break
            name = os.path.basename(path)  # noqa: PTH119 - a million times
            stem, ending = os.path.splitext(name)  # noqa: PTH122
            if ending.lower() in formats.EXTENSIONS and not name.startswith("."):
                self.by_name.setdefault(_same(name), []).append(path[begin:])
                self.by_stem.setdefault(_same(stem), []).append(path[begin:])

    def called(self, name: str) -> list[str]:
        """The files with the name of a path's last part, or, where none has, with it and an ending."""
        last = _same(name.rpartition("/")[2])
        return self.by_name.get(last) or self.by_stem.get(last) or []

    def find(self, names: Mapping[str, bool]) -> Found:
        """The one file of each path whose end is the longest that both have.

        A path that is not absolute may lack its first folders on the disk, the same for all, or there may be more
        before it, but not both; and where the folders of one beginning became others, no file of it is taken by a
        shorter end.

        Args:
            names: Paths with `/`, each with whether it is absolute.
        """
        candidates: dict[str, tuple[Move, list[str]]] = {}
        votes: Counter[Move] = Counter()
        for name, absolute in names.items():
            length, files = _longest(name, self.called(name))
            if files:
                move = _move(name, files[0], length, absolute)
                if not absolute and move.before and move.after:
                    continue
                candidates[name] = move, files
                votes.update({move, *(_move(name, file, length, absolute) for file in files[1:])})
        accepted: set[Move] = set()
        cut = {move.before for move in votes if move.before and not move.absolute}
        for move, _ in votes.most_common():
            if move.before and not move.absolute and len(cut) > 1:
                continue  # cat/0.png and dog/0.png are not both 0.png
            if not any(_goes_on(move, other) for other in accepted):
                accepted.add(move)
        found = Found()
        for name, (move, files) in candidates.items():
            if move not in accepted:
                continue
            if len(files) > 1:
                found.several[name] = sorted(files)
            else:
                found.files[name] = files[0]
                found.moves[move] += 1
        return found

    def holding(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        """The folders that have some paths just as they are written, but for an ending: the file of each path."""
        folders: dict[str, dict[str, str]] = {}
        for name in names:
            depth = name.count("/") + 1
            for file in self.called(name):
                if _longest(name, [file])[0] == depth:
                    folders.setdefault("/".join(file.split("/")[:-depth]), {})[name] = file
        return folders


def _longest(name: str, files: Iterable[str]) -> tuple[int, list[str]]:
    """How many parts the longest end has that a path and a file have in common, and which files have it."""
    parts = _same(name).split("/")
    best = 0
    with_it: list[str] = []
    for file in files:
        folders = _same(file).split("/")
        length = 1
        while length < min(len(parts), len(folders)) and parts[-1 - length] == folders[-1 - length]:
            length += 1
        if length > best:
            best, with_it = length, []
        if length == best:
            with_it.append(file)
    return best, with_it


def _move(name: str, file: str, length: int, absolute: bool) -> Move:
    return Move("/".join(name.split("/")[:-length]), "/".join(file.split("/")[:-length]), absolute)


def _goes_on(move: Move, other: Move) -> bool:
    """Whether a path begins with all that another begins with, and more of it is not on the disk."""
    if move.absolute != other.absolute or move.before == other.before:
        return False
    return not other.before or move.before.startswith(f"{other.before}/")


def _change(move: Move) -> str:
    after = f"{move.after}/"
    if not move.before:
        return f"in {after}" if move.after else "an ending is added"
    return f"`{move.before}/` becomes {after}" if move.after else f"`{move.before}/` is left out"


def _same(name: str) -> str:
    return name if name.isascii() else unicodedata.normalize("NFC", name)
