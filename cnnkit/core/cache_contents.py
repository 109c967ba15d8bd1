"""What lies in the cache: of what kind, how large, when it was used last and by which runs; and how it is cleared.

Nothing but what has a name of one of the kinds is ever removed, and no link is followed: what it leads to is not ours.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnnkit.core import cache, locks
from cnnkit.core.disk import WRITING

_HASH = r"[0-9a-f]{16,64}"

_NETWORK = "(?i:convnext|densenet|efficientnet|inception|mobilenet|nasnet|resnet|vgg1|xception)"
_WEIGHTS = rf"(weights_)?{_NETWORK}[\w.-]*no[_-]?top(_v2)?\.h5"
"""What keras.applications calls its files; people keep weights of their own in a folder `keras/models` too."""

_PREPARED = ("*/dataset_info.json", "*/*/dataset_info.json", "*.incomplete*", "*/*.incomplete*")
"""What a set of TensorFlow Datasets holds, by version, or by variant and version."""

_UNFINISHED = re.compile(rf"^{re.escape(WRITING)}[0-9a-f]+-")
"""What stands before the name of what was not written to its end."""


@dataclass(frozen=True)
class Kind:
    """One kind of what is kept.

    Attributes:
        name: What it is called.
        what: What it is, in a few words.
        folder: Where it lies, below the folder of the cache.
        names: The form of the names of its entries, a regular expression.
        by_hand: Whether people put it there, so that it is not made anew when it is gone.
        holds: Globs of which one has to lead to something in an entry, where its name says too little.
    """

    name: str
    what: str
    folder: str
    names: str
    by_hand: bool = False
    holds: tuple[str, ...] = ()


KINDS = (
    Kind("pixels", "decoded and prepared images", "pixels", rf"{_HASH}-{_HASH}\.images"),
    Kind("archives", "unpacked archives", "archives", rf"{_HASH}(\.files|\.json)?"),
    Kind("files", "what is known of image files", "index", rf"{_HASH}\.json"),
    Kind("findings", "what `cnnkit data` has found", "doctor", _HASH),
    Kind("near", "which pictures are near-duplicates", "doctor/near", _HASH),
    Kind("thumbnails", "small copies, to find near-duplicates", "doctor/pixels", rf"{_HASH}(\..+)?"),
    Kind("sheets", "contact sheets of `cnnkit data`", "doctor/sheets", _HASH),
    Kind("suspects", "sheets of labels that may be wrong", "doctor/suspects", rf"{_HASH}\.png"),
    Kind("previews", "sheets of `cnnkit preview`", "preview", rf".+-{_HASH}\.png"),
    Kind("rates", "curves of `cnnkit lr`", "lr", rf".+-{_HASH}\.png"),
    Kind("hub", "networks of TF Hub", "hub", rf"{_HASH}(\..+)?"),
    Kind("weights", "weights of keras.applications", "keras/models", _WEIGHTS),
    Kind("datasets", "MNIST and the like", "keras/datasets", r"mnist\.npz|fashion-mnist|cifar-.+"),
    Kind("tfds", "sets of TensorFlow Datasets", "tfds", r"\w+", holds=_PREPARED),
    Kind("downloads", "what these were prepared from", "tfds/downloads", r"extracted|.+\.INFO|.+\.tmp\..+"),
    Kind("backbones", "pretrained networks that were put there", "backbones", r"[^.].*", by_hand=True),
    Kind("speeds", "how fast trainings were here", ".", r"speeds\.json"),
    Kind("settings", "settings of Keras", "keras", r"keras\.json"),
)
"""All that cnnkit keeps; what is of none of them is left alone."""


@dataclass(frozen=True)
class Entry:
    """A file or folder that is kept.

    Attributes:
        kind: Of which kind.
        path: Where it lies.
        size: Bytes of all that is in it.
        used: When it was read or written last, in seconds since 1970, as far as the disk tells.
        runs: The folders of runs that are known to have used it.
    """

    kind: Kind
    path: Path
    size: int
    used: float
    runs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Contents:
    """All of the cache.

    Attributes:
        folder: Its folder.
        entries: What is kept.
        strangers: What lies there and is nothing that cnnkit keeps, or a link; it is left alone.
    """

    folder: Path
    entries: tuple[Entry, ...]
    strangers: tuple[Path, ...]


@dataclass
class Cleared:
    """What was removed, and what could not be, with the reason."""

    entries: list[Entry] = field(default_factory=list)
    failed: list[OSError] = field(default_factory=list)


def look() -> Contents:
    """What is in the cache; empty where there is none."""
    folder = cache.cache_folder().absolute()
    users = _users(folder)
    entries: list[Entry] = []
    strangers: list[Path] = []
    known = _folders()
    for below, kinds in known.items():
        for entry in _scanned(folder / below if below != "." else folder):
            path = Path(entry.path)
            name = os.path.relpath(path, folder)
            if name in known or name in (cache.USES, cache.LOCK):
                if entry.is_symlink():
                    strangers.append(path)
                continue
            whole = _UNFINISHED.sub("", entry.name)
            kind = next((kind for kind in kinds if re.fullmatch(kind.names, whole)), None)
            if kind is None or entry.is_symlink() or not _holds(path, kind.holds):
                strangers.append(path)
                continue
            with suppress(FileNotFoundError):  # another command has removed it
                size, used = _measured(path)
                entries.append(Entry(kind, path, size, used, users(name)))
    return Contents(folder, tuple(entries), tuple(strangers))


def clear(wanted: Callable[[Entry], bool]) -> Cleared:
    """Removes what is wanted gone, while nobody uses the cache.

    Raises:
        locks.Busy: Somebody does.
        OSError: Whether anybody does can't be told.
    """
    cleared = Cleared()
    folder = cache.cache_folder()
    if not folder.is_dir():
        return cleared
    with locks.alone(folder / cache.LOCK):
        contents = look()
        for entry in filter(wanted, contents.entries):
            try:
                _remove(entry.path)
                cleared.entries.append(entry)
            except OSError as error:
                cleared.failed.append(error)
        _tidy(contents.folder)
    return cleared


def _folders() -> Mapping[str, Sequence[Kind]]:
    """The kinds by the folders that they lie in, and the folders above these."""
    found: dict[str, list[Kind]] = {".": []}
    for kind in KINDS:
        parts = kind.folder.split("/")
        for length in range(1, len(parts)):
            found.setdefault("/".join(parts[:length]), [])
        found.setdefault(kind.folder, []).append(kind)
    return found


def _scanned(folder: Path) -> Iterator[os.DirEntry[str]]:
    """What lies in a folder, in the order of its names; nothing where it is none, or one of its folders is a link."""
    root = cache.cache_folder().absolute()
    if any((root / part).is_symlink() for part in _ways(folder.relative_to(root))):
        return
    try:
        with os.scandir(folder) as found:
            yield from sorted(found, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return


def _ways(below: Path) -> Iterator[Path]:
    for length in range(1, len(below.parts) + 1):
        yield Path(*below.parts[:length])


def _holds(path: Path, globs: Sequence[str]) -> bool:
    return not globs or any(next(path.glob(each), None) is not None for each in globs)


def _measured(path: Path) -> tuple[int, float]:
    """Bytes of all files, and when the last of them was used."""
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        return found.st_size, max(found.st_atime, found.st_mtime)
    size, used = 0, found.st_mtime
    for folder, _, files in os.walk(path):
        for name in files:
            with suppress(FileNotFoundError):
                found = os.lstat(os.path.join(folder, name))  # noqa: PTH118 - often
                size, used = size + found.st_size, max(used, found.st_atime, found.st_mtime)
    return size, used


def _remove(path: Path) -> None:
    """Removes a file or a folder; a folder of another's making may be read-only."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    for folder, _, _ in os.walk(path):
        os.chmod(folder, 0o700)  # noqa: PTH101 - what os.walk gives
    shutil.rmtree(path)


def _tidy(folder: Path) -> None:
    """Removes what is known of the users of what is gone, and folders that are empty now."""
    for file, _, used in _uses(folder):
        if not any((folder / name).exists() for name in used):
            file.unlink(missing_ok=True)
    for below in sorted({*_folders(), cache.USES}, key=len, reverse=True):
        if below != "." and not any((folder / part).is_symlink() for part in _ways(Path(below))):
            with suppress(OSError):  # not empty, or not there
                (folder / below).rmdir()


def _users(folder: Path) -> Callable[[str], tuple[str, ...]]:
    """From an entry, by its path below the folder, to the runs that have used it."""
    found: dict[str, list[str]] = {}
    for _, run, used in _uses(folder):
        for name in used:
            for way in _ways(Path(name)):
                found.setdefault(str(way), []).append(run)
    return lambda name: tuple(sorted(set(found.get(name, ()))))


def _uses(folder: Path) -> Iterator[tuple[Path, str, Sequence[str]]]:
    """Each file of `cache.record_use`, with the run and what it has used; nothing where it is damaged."""
    for entry in _scanned(folder / cache.USES):
        if re.fullmatch(rf"{_HASH}\.json", entry.name) and entry.is_file(follow_symlinks=False):
            content = cache.read(Path(entry.path))
            document: dict[str, Any] = {"run": "", "used": []} if content is None else json.loads(bytes(content))
            yield Path(entry.path), document["run"], document["used"]
