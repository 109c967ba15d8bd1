"""Which files lie below a folder, and which of them are taken for images. One walker for training and prediction."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from cnnkit.core import own_folders
from cnnkit.core.errors import DataError
from cnnkit.core.text import printable
from cnnkit.data.files import formats

HIDDEN = "hidden or a system's file"
"""Why what nobody took for an image is not used; such files are counted, not named."""


def files_below(folder: Path, unreadable: Callable[[OSError], None] | None = None) -> Iterator[str]:
    """Every file below a folder, and the folders that are closed, as paths, in the order of their names.

    What lies in closed folders, which are hidden or cnnkit's own, is not looked at. Links are followed; a folder that
    links lead to twice is visited once, and one above `folder`, or beside it, not at all, as that would bring the
    images of other classes.

    Args:
        folder: The folder.
        unreadable: Is told why a folder can't be read; the others are gone through.

    Raises:
        DataError: A folder can't be read, and `unreadable` was left out.
    """
    visits = _Visits(folder)
    for where, subfolders, files in os.walk(folder, onerror=unreadable or _unreadable, followlinks=True):
        if not visits.begin(where):
            subfolders.clear()
            continue
        shut = {name for name in subfolders if _is_closed(name, f"{where}/{name}")}
        yield from (f"{where}/{name}" for name in sorted(shut))
        subfolders[:] = sorted(name for name in subfolders if name not in shut)
        yield from (f"{where}/{name}" for name in sorted(files))


def any_file(folder: Path, wanted: Callable[[str], bool]) -> bool:
    """Whether `files_below` gives a file, or a folder of cnnkit's own, that is wanted; looks no further than the first.

    Raises:
        OSError: A folder can't be read.
    """
    visits, ahead = _Visits(folder), [str(folder)]
    for where in ahead:
        if visits.begin(where):
            with os.scandir(where) as entries:
                for entry in entries:
                    if hidden(entry.name):
                        continue
                    if _is_folder(entry) and not own_folders.whose(entry.path):
                        ahead.append(entry.path)
                    elif wanted(entry.path):
                        return True
    return False


def counts_below(folder: Path | str) -> tuple[int, int]:
    """How many files lie below a folder, hidden ones too, and how many of them are images by their ending.

    What lies in folders of cnnkit's own is no image.
    """
    files = images = 0
    own: set[str] = set()
    walk = os.walk(folder) if _Visits(Path(folder)).begin(str(folder)) else ()  # none of what a link upwards leads to
    for where, below, names in walk:
        files += len(names)
        if where in own or own_folders.whose(where):
            own.update(os.path.join(where, name) for name in below)  # noqa: PTH118 - as the walk does
            continue
        images += sum(_has_ending(name) and not hidden(name) for name in names)
    return files, images


def how_many(path: str) -> int:
    """How many files that is which `files_below` gives: one, or, of a closed folder, those that lie in it."""
    return counts_below(path)[0] if os.path.isdir(path) else 1  # noqa: PTH112


def files_in(folder: Path) -> list[str]:
    """The files right in a folder, and the folders that are closed, in the order of their names."""
    with os.scandir(folder) as entries:
        return sorted(e.path for e in entries if not _is_folder(e) or _is_closed(e.name, e.path))


def subfolders(folder: Path) -> list[Path]:
    """The folders right in a folder that are not closed: neither hidden nor cnnkit's own."""
    return sorted(each for each in folder.iterdir() if each.is_dir() and not _is_closed(each.name, str(each)))


def refuse_run_as_images(folder: Path) -> None:
    """Refuses the folder of a run, or of folds, where one of images is named.

    Raises:
        DataError: It is one.
    """
    if why := own_folders.why_no_images(folder):
        raise DataError(why)


class _Visits:
    """Which folders below one were visited, by whatever links."""

    def __init__(self, folder: Path):
        self.outside = {*folder.resolve().parents}
        named = folder.absolute()  # `.` has no name else, and `..` is no name: what stands before it is not above it
        if named.name != "..":
            self.outside |= {named.parent.resolve(), *named.parent.resolve().parents}
        self.visited: set[Path] = set()

    def begin(self, where: str) -> bool:
        """Whether a folder is to be visited: for the first time, and not one above, to which a link leads."""
        real = Path(where).resolve()
        if real in self.visited or real in self.outside:
            return False
        self.visited.add(real)
        return True


def why_not(path: str, below: str | None = None) -> str | None:
    """Why a file is not taken for an image, or None if it is.

    Args:
        path: The file.
        below: Its path below the folder that is searched, where the folders in it are to be judged with it.
    """
    name = os.path.basename(path)  # noqa: PTH119 - a pathlib object for each of a million files costs seconds
    if hidden(name):
        return HIDDEN
    if not os.path.isfile(path) and os.path.exists(path):  # noqa: PTH110, PTH113
        return own_folders.whose(path) or "a pipe or a device, not a file"
    if not printable(below or name):
        return "a control character in its name"
    if _has_ending(name):
        return None
    return formats.why_not_by(os.path.splitext(name)[1].lower(), _beginning(path))  # noqa: PTH122


def is_picture(path: str) -> bool:
    """Whether a file is a picture by its ending or its content, one that is not read too."""
    return formats.is_picture(os.path.splitext(path)[1].lower(), _beginning(path))  # noqa: PTH122


def _beginning(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read(formats.BEGINNING)
    except OSError:  # then its ending alone is told
        return b""


def hidden(name: str) -> bool:
    """Whether a name is that of a hidden file or folder, or of one that a system puts beside others."""
    return name.startswith(".") or name.lower() in ("thumbs.db", "desktop.ini", "__macosx")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is one, or a link to one; not where nobody can tell, of a link to itself, as `os.walk` has it too."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_closed(name: str, folder: str) -> bool:
    return hidden(name) or own_folders.whose(folder) is not None


def _has_ending(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in formats.EXTENSIONS  # noqa: PTH122


def matcher(pattern: str) -> Callable[[str], bool]:
    """From a glob to whether a path below the folder (with `/`) is meant by it.

    `*` is any text within a name, `?` a character, `[ab]` one of them, `[!ab]` any other, `[a-z]` one from a to z;
    `**` is any text, and `**/` any folders, or none. Only these two lead from one folder into the next. Capitals count
    as small letters, as in endings, and an accent is the same in whatever form it is written. No pattern takes long,
    whatever the path.

    Raises:
        ValueError: What brackets hold ends before it begins.
    """
    parts = [*_PART.finditer(unicodedata.normalize("NFC", pattern))]
    compiled = re.compile(_expression(parts), re.IGNORECASE | re.DOTALL)
    return lambda path: compiled.fullmatch(unicodedata.normalize("NFC", path)) is not None


# What a glob is made of: what stands for any text, brackets, or a character that stands for itself.
_PART = re.compile(r"(?:^|(?<=/))\*\*/|\*\*|\*|\?|\[(!?+)(\][^]/]*|[^]/]+)\]|.", re.DOTALL)

# What brackets are made of: from one character to another, or one.
_INSIDE = re.compile("(.)-(.)|.", re.DOTALL)

_ANY = {"**/": "(?:[^/]+/)*?", "**": ".*?", "*": "[^/]*?"}
"""What stands for any text, which is as short as can be."""


def _expression(parts: Sequence[re.Match[str]]) -> str:
    """A glob as a regular expression.

    Where more of the same kind, or of a wider one, comes behind, what stands for any text takes no other once what is
    behind it has been found: the first place leaves most to the rest, so nothing is lost. Without this a pattern of
    eight `*` tries as many places as there are ways to choose eight letters.
    """
    wide = [i for i, part in enumerate(parts) if part[0] in ("**", "**/")]
    begins = [0, *wide]
    pieces = [_piece(parts[i:end]) for i, end in zip(begins, [*wide, len(parts)], strict=True)]
    return "".join(f"(?>{piece})" for piece in pieces[:-1]) + pieces[-1]


def _piece(parts: Sequence[re.Match[str]]) -> str:
    """A part of a glob in which only the first may stand for more than a name."""
    stars = [i for i, part in enumerate(parts) if part[0] == "*"]
    begins = [0, *stars]
    pieces = ["".join(map(_part, parts[i:end])) for i, end in zip(begins, [*stars, len(parts)], strict=True)]
    return pieces[0] + "".join(f"(?>{piece})" for piece in pieces[1:-1]) + "".join(pieces[1:][-1:])


def _part(part: re.Match[str]) -> str:
    if part[2]:
        return f"(?!/)[{'^' if part[1] else ''}{_INSIDE.sub(_one_of, part[2])}]"
    return _ANY.get(part[0]) or ("[^/]" if part[0] == "?" else re.escape(part[0]))


def _one_of(inside: re.Match[str]) -> str:
    if not inside[1]:
        return re.escape(inside[0])
    if inside[1] > inside[2]:
        raise ValueError(f"`{inside[0]}` in brackets ends before it begins")
    return f"{re.escape(inside[1])}-{re.escape(inside[2])}"


def _unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename} can't be read: {error.strerror}")
