"""A manifest: a CSV file that names images with their labels, one a row."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import model_validator

from cnnkit.core.errors import DataError, Problem
from cnnkit.core.progress import Progress
from cnnkit.core.spec import AbsolutePath, CapturePattern, Text
from cnnkit.core.text import listed
from cnnkit.data.files import archives, locating, tables
from cnnkit.data.files.walking import files_below, files_in, subfolders, why_not
from cnnkit.data.index import LIKE_SPLITS, SPLITS, Collection, ImageFile, Index, Unused
from cnnkit.data.sources.base import OnBad, Source, at_path, grouped, in_order, reworded
from cnnkit.data.sources.manifest_rows import Faults, ManifestReader, ManifestRow, with_slashes

# What people call these columns; in the order in which they are looked for.
_PATHS = (
    *("path", "image_path", "file_path", "filepath", "file", "filename", "file_name", "image", "image_name", "img"),
    *("img_path", "image_id", "id", "id_code", "name"),
)
_LABELS = (
    *("label", "labels", "class", "class_name", "label_name", "category", "target", "species", "breed", "diagnosis"),
    *("dx", "y"),
)

# How the names of archives end.
_PACKED = {".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz"}

# So many files are looked for before a training begins; of longer tables the rest when the index is made.
_LOOKED_FOR = 100_000

# Subfolders that hold images without being classes.
_NO_CLASSES = LIKE_SPLITS | {"images", "image", "img", "data"}


class Manifest(Source):
    """A CSV file with a row an image: its path, its label, and if you like its split and its weight."""

    of_files: ClassVar[bool] = True

    name: Literal["manifest"] = "manifest"
    path: AbsolutePath
    """The CSV file: in UTF-8, columns separated by `,` `;` or tabs, their names in the first line."""
    folder: AbsolutePath | None = None
    """The folder that its paths are below; may be an archive (.zip, .tar, .tar.gz), or a folder within one
    (`images.zip/train`). The folder of the CSV file if left out."""
    extension: Text | None = None
    """What the paths lack at their end, for example `.jpg` where there are only ids."""
    path_column: Text = "path"
    """The column of the paths."""
    label_column: Text = "label"
    """The column of the labels; these are names, also where they are numbers."""
    split_column: Text | None = None
    """The column that says train, validation (val) or test; the one called `split` if left out and there is one."""
    weight_column: Text | None = None
    """The column that says what an image counts for in training, above 0; the one called `weight` if left out and
    there is one."""
    group_column: Text | None = None
    """The column of what an image belongs to, as a patient or a film, and never parts from; where it is empty, an image
    is on its own."""
    group_pattern: CapturePattern | None = None
    """Which images belong together and never part, as those of one patient: a regular expression that matches the whole
    path below the folder, whose one group (in round brackets) names it; for example `.*/(patient[0-9]+)_.*`."""
    on_bad: OnBad = "error"
    """What a file that is missing or can't be decoded does: stop everything and be named, or be left out, counted and
    listed."""

    @model_validator(mode="after")
    def _groups_by_one_word(self) -> Self:
        if self.group_column and self.group_pattern:
            raise ValueError("group_column and group_pattern both tell what belongs together; leave one of them out")
        return self

    @classmethod
    def recognise(cls, path: Path) -> Self | None:
        """A .csv or .tsv file, or a folder with one and no class folders; with the images beside it."""
        if _is_table(path) and path.is_file():
            return cls._fitting(path)
        if not path.is_dir() or _has_class_folders(path):
            return None
        tables_in = [file for file in sorted(path.iterdir()) if _is_table(file) and file.is_file()]
        fitting = []
        for file in tables_in:
            try:
                if "submission" not in file.name.lower():  # Kaggle's example of an answer, with labels of no meaning
                    fitting.append(cls._fitting(file))
            except DataError:
                continue  # a table of something else
        if len(fitting) > 1:
            names = listed([Path(each.path).name for each in fitting])
            raise DataError(f"{path} holds {names}, which all list images with labels; name the one that is meant")
        return fitting[0] if fitting else None

    @classmethod
    def _fitting(cls, path: Path) -> Self:
        """The manifest with the columns that it has and the folder where its images are.

        Raises:
            DataError: It has no such columns, or its images are nowhere to be found.
        """
        header = [cell.strip() for cell in next(iter(tables.Table(path)), (1, []))[1]]
        lower = [name.lower() for name in header]
        for name in (name for name in _PATHS if name in lower):
            column = lower.index(name)
            others = [i for i, name in enumerate(lower) if i != column and name not in ("split", "weight")]
            labels = sorted((_LABELS.index(lower[i]), i) for i in others if lower[i] in _LABELS)
            if labels or len(others) == 1:
                # Read again for each column: few tables have two that may be it.
                cells = (cells for _, cells in islice(tables.Table(path), 1, None) if len(cells) == len(header))
                if place := _located(path, [with_slashes(each[column].strip()) for each in cells]):
                    folder, ending = place
                    return cls(
                        path=str(path),
                        folder=None if folder == path.parent else str(folder),
                        extension=ending,
                        path_column=header[column],
                        label_column=header[labels[0][1] if labels else others[0]],
                    )
        there = f"its columns are {listed(header)}" if any(header) else "it is empty"
        if len(header) == 1:
            there += f"; {tables.SEPARATED}"
        message = f"no column of it is known to name images that lie beside it, with labels in another; {there}"
        raise DataError(Problem(f"{message}; set path_column, label_column, folder and extension", file=str(path)))

    def open(self, progress: Progress) -> Collection:
        """Reads the rows, and looks whether their images are there; of very many only the first ones."""
        if not os.path.isfile(self.path):  # noqa: PTH113 - a path may be too long for pathlib
            raise at_path(f"{self.path}: {_why_absent(self.path)}")
        root = self._root(progress)
        ending = self.extension or ""
        ending = ending if ending[:1] in ("", ".") else f".{ending}"
        columns = {what: getattr(self, f"{what}_column") for what in ("path", "label", "split", "weight")}
        if self.group_column:
            columns["group"] = self.group_column
        reader = ManifestReader(self.path, str(root), ending, columns)
        rows = reader.read()
        self._some_are_there(root, rows)
        classes = in_order(row.label for row in rows)
        if len(classes) < 2:
            message = f"all rows have the label `{classes[0]}`; at least two classes are needed"
            raise DataError(Problem(message, file=self.path))
        if self.on_bad == "error":
            self._there(root, rows[:_LOOKED_FOR])
        index = partial(self._index, root, rows, reader.repeated, classes)
        splits = Collection.own(row.split for row in rows)
        return Collection(
            classes,
            splits,
            (64, 64, 3),
            index,
            self.on_bad == "skip",
            counts=lambda: Collection.counted(classes, ((row.split, row.label) for row in rows)),
        )

    def _root(self, progress: Progress) -> Path:
        """The folder that the paths are below; unpacked if it is an archive, or in one."""
        if self.folder is None:
            return Path(self.path).parent
        folder = Path(self.folder)
        packed = next((whole for whole in (folder, *folder.parents) if os.path.isfile(whole)), None)  # noqa: PTH113
        with reworded(lambda problem: replace(problem, key="folder")):
            root = archives.unpacked(packed, progress) / folder.relative_to(packed) if packed else folder
        if not os.path.isdir(root):  # noqa: PTH112
            what = f"{packed} holds no folder {folder.relative_to(packed)}" if packed else "there is no such folder"
            gone = next((each for each in (folder, *folder.parents) if each.suffix.lower() in _PACKED), None)
            if gone and not os.path.exists(gone):  # noqa: PTH110
                what = f"there is no archive {gone}"
            raise DataError(Problem(f"{folder}: {what}", key="folder"))
        return root

    def _some_are_there(self, root: Path, rows: list[ManifestRow]) -> None:
        first = [row.file for row in rows[: locating.SAMPLE]]
        disk = _Disk(root)
        if any(os.path.exists(root / file) or disk.spelled(file) for file in first):  # noqa: PTH110
            return
        hint = ""
        written = [with_slashes(row.written) for row in rows]
        if place := locating.in_folders(root, written) or _located(Path(self.path), written):
            folder, ending = place
            there = self._from_outside(root, str(folder.relative_to(root))) if folder.is_relative_to(root) else folder
            hint = f"; they are there with folder: {there}" + (f" and extension: {ending}" if ending else "")
        lost = f"of the first {len(first)} images of {self.path} none is there"
        message = f"{lost}, first {self._from_outside(root, first[0])}{hint}"
        raise DataError(Problem(message, key="extension" if self.extension else "folder" if self.folder else "path"))

    def _from_outside(self, root: Path, file: str) -> Path:
        """A file by the folder or archive that it is asked for in, not by where that is unpacked."""
        return Path(self.folder or root) / file

    def _index(
        self, root: Path, rows: list[ManifestRow], repeated: list[Unused], classes: tuple[str, ...], progress: Progress
    ) -> Index:
        found, skipped = self._there(root, rows)
        # Named as the table spells them: so they are the same wherever the images lie.
        images = [ImageFile(path, row.label, row.split, row.file, row.weight, row.group) for path, row in found.items()]
        unused = [*repeated, *skipped, *self._not_listed(root, found)]
        return Index.of_files(root, grouped(images, self.group_pattern), classes, progress, unused)

    def _there(self, root: Path, rows: list[ManifestRow]) -> tuple[dict[str, ManifestRow], list[Unused]]:
        """The rows whose files are there, by the path of each as the disk spells it; and files that are skipped.

        Raises:
            DataError: A file is not there, or two rows that differ spell the same one in two ways.
        """
        found: dict[str, ManifestRow] = {}
        unused: list[Unused] = []
        absent, twice = Faults(self.path), Faults(self.path)
        disk = _Disk(root)
        for row in rows:
            if path := disk.spelled(row.file):
                first = found.setdefault(path, row)
                if first is not row and first.difference(row):
                    message = f"`{row.file}` is the image of line {first.line}, which says something else of it"
                    twice.add("twice", row.line, f"{message}; keep one of the rows")
                elif first is not row:
                    unused.append(row.again_after(first))
                continue
            why = _why_absent(os.path.join(root, row.file))  # noqa: PTH118
            if self.on_bad == "skip":
                unused.append(Unused(row.file, why))
            else:
                absent.add("absent", row.line, f"{self._from_outside(root, row.file)}: {why}")
        absent.raise_if_any("; put the files there, remove the rows, or set data.source.on_bad: skip")
        twice.raise_if_any()
        return found, unused

    def _not_listed(self, root: Path, files: Iterable[str]) -> Iterator[Unused]:
        """What else lies in the folders of the images that are there."""
        used = {os.path.normpath(os.path.join(root, file)) for file in files}  # noqa: PTH118 - a million times
        folders = sorted({os.path.dirname(path) for path in used})  # noqa: PTH120
        for folder in (Path(folder) for folder in folders if os.path.isdir(folder)):  # noqa: PTH112
            for path in files_in(folder):
                if path not in used and path != self.path:
                    name = path.removeprefix(f"{root}/")
                    yield Unused(name, why_not(path) or f"not listed in {Path(self.path).name}")


class _Disk:
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


def _is_table(path: Path) -> bool:
    return path.suffix.lower() in (".csv", ".tsv") and not path.name.startswith(".")


def _located(table: Path, names: Sequence[str]) -> locating.Place | None:
    """Where the images of a table are: in folders beside it, else in archives."""
    folder, like = table.parent, table.stem
    try:
        return locating.in_folders(folder, names, like) or locating.in_archives(folder, names, like)
    except OSError as error:
        raise DataError(f"{error.filename} can't be read: {error.strerror}") from None


def _has_class_folders(root: Path) -> bool:
    """Whether a folder is sorted into classes, so that a table in it is only more of the same."""
    for folder in (root, *(root / split for split in (*SPLITS, "val"))):
        if folder.is_dir():
            likely = (each for each in subfolders(folder) if each.name.lower() not in _NO_CLASSES)
            holding = (each for each in likely if any(not why_not(file) for file in files_below(each)))
            if len(list(islice(holding, 2))) == 2:
                return True
    return False


def _why_absent(path: str) -> str:
    if os.path.isdir(path):  # noqa: PTH112 - a path may be too long for pathlib
        return "is a folder, not a file"
    return "is a pipe or a device, not a file" if os.path.exists(path) else "there is no such file"  # noqa: PTH110
