"""A folder of images, one subfolder a class; or `train`, `validation` and `test` folders that hold those."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from cnnkit import decoding
from cnnkit.errors import DataError, Problem
from cnnkit.lazy import np
from cnnkit.progress import Progress
from cnnkit.sources.base import Collection, Index, Source, Unused, digest_of
from cnnkit.spec import AbsolutePath

_LIKE_SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing"}
_SPLIT_NAMES = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}


class Folder(Source):
    """A folder with a subfolder of images for each class, or with train, validation (val) and test folders of such."""

    name: Literal["folder"] = "folder"
    path: AbsolutePath
    """The folder that holds the class folders, or the split folders that hold those."""
    on_bad: Literal["error", "skip"] = "error"
    """What a file that can't be decoded does: stop everything and be named, or be left out, counted and listed."""

    def open(self) -> Collection:
        """Lists the class folders."""
        root = Path(self.path)
        try:
            if not root.is_dir():
                what = "is a file, not a folder" if root.exists() else "there is no such folder"
                raise DataError(Problem(f"{root}: {what}", key="path"))
            folders = _class_folders(root)
        except OSError as error:
            raise DataError(Problem(f"{error.filename} can't be read: {error.strerror}", key="path")) from None
        classes = tuple(sorted({folder.name for _, folder in folders}))
        if odd := next((name for name in classes if not _printable(name)), None):
            raise DataError(Problem(f"{root}: the class {odd!r} has a control character in its name", key="path"))
        if len(classes) < 2:
            found = f"only one, `{classes[0]}`" if classes else "none"
            message = f"{root} should hold a subfolder of images for each of at least two classes; it holds {found}"
            raise DataError(Problem(message, key="path"))
        splits = frozenset(split for split, _ in folders if split not in (None, "train"))
        return Collection(
            classes,
            splits,
            (64, 64, 3),
            lambda progress: _index(root, folders, classes, progress),
            self.on_bad == "skip",
        )


def _class_folders(root: Path) -> list[tuple[str | None, Path]]:
    """Each class folder with the split that it is in by the folders' own names, if any."""
    tops = _subfolders(root)
    names = {folder.name for folder in tops}
    if "train" not in names or not _subfolders(root / "train"):
        if likely := sorted(name for name in names if name.lower() in _LIKE_SPLITS and _subfolders(root / name)):
            message = f"{root} holds {_listed(likely)} of folders; call splits train, validation and test"
            raise DataError(Problem(message, key="path"))
        return [(None, folder) for folder in tops]
    if strangers := sorted(names - _SPLIT_NAMES.keys()):
        message = f"{root} holds train/ beside {_listed(strangers)}; move what is neither train, validation nor test"
        raise DataError(Problem(message, key="path"))
    if {"val", "validation"} <= names:
        raise DataError(Problem(f"{root} holds both val/ and validation/; keep one of them", key="path"))
    found: list[tuple[str | None, Path]] = [
        (_SPLIT_NAMES[top.name], folder) for top in tops for folder in _subfolders(top)
    ]
    trained = {folder.name for split, folder in found if split == "train"}
    if unknown := sorted({folder.name for _, folder in found} - trained):
        message = f"{root}: no training images for {_listed(unknown)}, which other splits have"
        raise DataError(Problem(message, key="path"))
    return found


def _subfolders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _index(root: Path, folders: list[tuple[str | None, Path]], classes: tuple[str, ...], progress: Progress) -> Index:
    paths: list[Path] = []
    labels: list[int] = []
    splits: list[str | None] = []
    unused = [Unused(_relative(file, root), _why_not(file) or "beside the class folders") for file in _files(root)]
    for top in {folder.parent for _, folder in folders} - {root}:
        unused += [Unused(_relative(file, root), _why_not(file) or "beside the class folders") for file in _files(top)]
    for split, folder in folders:
        before = len(paths)
        for file in _walk(folder):
            if reason := _why_not(file):
                unused.append(Unused(_relative(file, root), reason))
            else:
                paths.append(file)
        if len(paths) == before:
            raise DataError(f"{folder}: a class folder without an image; fill it, or remove it")
        labels += [classes.index(folder.name)] * (len(paths) - before)
        splits += [split] * (len(paths) - before)
    with progress.task("reading files", len(paths)) as advance, ThreadPoolExecutor() as pool:
        digests = []
        for digest in pool.map(_digest, paths):
            digests.append(digest)
            advance(1)
    return Index(
        classes=classes,
        names=[_relative(path, root) for path in paths],
        labels=np.asarray(labels, dtype=np.int64),
        digests=digests,
        splits=splits,
        open=lambda i: decoding.read_file(paths[i]),
        unused=tuple(unused),
    )


def _walk(folder: Path) -> Iterator[Path]:
    """Every file below a folder, and its hidden folders; a folder that links lead to twice is visited once."""
    home, above = Path(folder).resolve(), folder.parent.resolve()
    visited: set[Path] = set()
    for where, subfolders, files in os.walk(folder, onerror=_unreadable, followlinks=True):
        real = Path(where).resolve()
        # A link that leads up would bring the images of other classes.
        if real in visited or real in home.parents or real in (above, *above.parents):
            subfolders.clear()
            continue
        visited.add(real)
        yield from (Path(where) / name for name in sorted(subfolders) if name.startswith("."))
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        yield from (Path(where) / name for name in sorted(files))


def _unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename} can't be read: {error.strerror}")


def _files(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if not entry.is_dir() or entry.name.startswith("."))


def _why_not(file: Path) -> str | None:
    """Why a file is not taken for an image, or None if it is."""
    if file.exists() and not file.is_file() and not file.name.startswith("."):
        return "a pipe or a device, not a file"
    if file.name.startswith(".") or file.name.lower() in ("thumbs.db", "desktop.ini"):
        return "hidden or a system's file"
    if not _printable(file.name):
        return "a control character in its name"
    if file.suffix.lower() not in decoding.EXTENSIONS:
        return f"not an image by its ending ({', '.join(sorted(decoding.EXTENSIONS))})"
    return None


def _printable(name: str) -> bool:
    """Whether a name has no control characters, which would break tables, terminals and lists of files."""
    return not any(unicodedata.category(character) == "Cc" for character in name)


def _digest(path: Path) -> str:
    try:
        return digest_of(path.read_bytes())
    except OSError as error:
        # Not hidden: the decoder meets the same error and names the file. Here it only needs a place of its own.
        return digest_of(f"{path}: {error}".encode())


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _listed(names: list[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
