"""Where the images lie that a table names: in which folder or archive beside it, and with which ending."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from cnnkit.core.errors import DataError
from cnnkit.data.files import formats
from cnnkit.data.files.archive_members import Refused, paths_in
from cnnkit.data.files.finding import Spelling
from cnnkit.data.files.walking import subfolders
from cnnkit.data.split_names import split_of

SAMPLE = 20
"""So many of the names are looked for."""

FOLDERS = 200
"""At most so many folders are looked into."""

MEMBERS = 20_000
"""Of an archive so many names are looked at."""

BYTES = 2**29
"""Of a tar at most so much is read, of what comes out of it, to come from name to name."""

LIKELY = ("images", "train", "data")
"""What people call the folder of the images."""

_COMMON = (".jpg", ".png", ".jpeg")
_ENDINGS = (*_COMMON, *sorted(formats.EXTENSIONS - set(_COMMON)))
_PACKED = (".zip", ".tar", *(f".{tar}{kind}" for tar in ("tar.", "t") for kind in ("gz", "bz2", "xz")))

Place = tuple[Path, str | None]
"""A folder, or an archive, or a folder within one; and the ending that names lack, if they do."""


def beside(table: Path, names: Sequence[str]) -> Place | None:
    """Where the images of a table are: in folders beside it, else in archives.

    Raises:
        DataError: A folder beside it can't be read.
    """
    folder, like = table.parent, table.stem
    try:
        return in_folders(folder, names, like) or in_archives(folder, names, like)
    except OSError as error:
        raise DataError(f"{error.filename} can't be read: {error.strerror}") from None


def in_folders(folder: Path, names: Sequence[str], like: str = "") -> Place | None:
    """The folder, `folder` or one below it, that holds most of the names; None if none holds any.

    Args:
        folder: Where to look.
        names: Paths with `/`, perhaps without their endings; the first SAMPLE of them count.
        like: What the images' folder may be called.
    """
    sample = names[:SAMPLE]
    best: Place | None = None
    most = 0
    for base in itertools.islice(_bases(folder, like), FOLDERS):
        for ending in ("", *_ENDINGS, *(ending.upper() for ending in _ENDINGS)):
            found = sum(os.path.isfile(f"{base}/{name}{ending}") for name in sample)  # noqa: PTH113 - thousands
            if found > most:
                most, best = found, (base, ending or None)
        if most == len(sample):
            break
    return best


def of_table(names: Sequence[str], table: Path, split: str, root: Path, given: bool) -> Path | None:
    """The folder that the names in the table of one split are below; None if no folder that is meant has any of them.

    Tables of several splits may name their images alike, as `train/0.jpg` and `valid/0.jpg`. So a folder that is meant
    is theirs, be some images missing there: others of the same names, somewhere else, are other images.

    Args:
        names: Paths with `/`, with their endings; the first SAMPLE of them count.
        table: Beside it they are looked for first; but if `root` is given, in that, and beside it only if it is in it.
        split: Then they are looked for in folders with such a name, there and below `root`.
        root: The folder that all are below.
        given: Whether it was said to be so.
    """
    here = table.parent
    inside = [here] if here.is_relative_to(root) else []
    for base in dict.fromkeys([root, *inside] if given else [here]):
        if holds(base, names):
            return base
    best, most = None, 0
    for top in dict.fromkeys([root, *inside] if given else [here, root]):
        for base in itertools.islice(_bases(top, split), FOLDERS):
            if split in map(split_of, base.relative_to(top).parts) and (found := holds(base, names)) > most:
                best, most = base, found
                if most == len(names[:SAMPLE]):
                    return best
    return best


def holds(folder: Path, names: Sequence[str]) -> int:
    """How many of some names, of the first SAMPLE, are files in a folder."""
    disk = Spelling(folder)
    return sum(disk.spelled(name) is not None for name in names[:SAMPLE])


def alike(names: Sequence[str], table: Path, folder: Path) -> str | None:
    """That images which a table names are not beside it, while a folder has some with such names; None if it has not.

    Args:
        names: Paths with `/`, with their endings; the first SAMPLE of them count.
        table: The table.
        folder: The other folder.
    """
    if not holds(folder, names):
        return None
    return (
        f"of the first {len(names[:SAMPLE])} images of {table} none is in {table.parent}, beside it; there are some "
        f"with such names in {folder}: if these are meant, set folder: {folder}"
    )


def in_archives(folder: Path, names: Iterable[str], like: str = "") -> Place | None:
    """The archive in `folder`, or the folder within that, that holds some of the names; None if there is none.

    Args:
        folder: Where the archives lie; they are not unpacked.
        names: Paths with `/`, perhaps without their endings; all of them count.
        like: What the archive may be called.
    """
    wanted = set(names)
    archives = [file for file in sorted(folder.iterdir()) if file.name.lower().endswith(_PACKED) and file.is_file()]
    for archive in sorted(archives, key=lambda file: _unlikely(file.name.split(".")[0], like)):
        hits: Counter[Place] = Counter()
        for parts in _images_in(archive):
            for depth in range(len(parts)):
                tail = "/".join(parts[depth:])
                bare, ending = os.path.splitext(tail)  # noqa: PTH122 - thousands
                if tail in wanted:
                    hits[archive.joinpath(*parts[:depth]), None] += 1
                elif bare in wanted:
                    hits[archive.joinpath(*parts[:depth]), ending] += 1
        if hits:
            return hits.most_common(1)[0][0]
    return None


def _bases(folder: Path, like: str) -> Iterator[Path]:
    below = sorted(subfolders(folder), key=lambda path: _unlikely(path.name, like))
    yield folder
    yield from below
    for each in below:
        yield from subfolders(each)


def _unlikely(name: str, like: str) -> bool:
    return name.lower() not in (like.lower(), *LIKELY)


def _images_in(archive: Path) -> Iterator[tuple[str, ...]]:
    """The paths of the images in an archive, in parts; up to where it is damaged, which shows when it is unpacked."""
    with suppress(Refused):
        for parts in paths_in(archive, MEMBERS, BYTES):
            if parts and parts[-1].lower().endswith(_ENDINGS) and "__MACOSX" not in parts:
                yield parts
