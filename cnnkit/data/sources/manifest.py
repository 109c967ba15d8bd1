"""A manifest: a table that names images with their labels, one a row."""

from __future__ import annotations

import os
from collections.abc import Collection as Names
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import model_validator

from cnnkit.core.cache import cache_folder
from cnnkit.core.errors import DataError, Problem
from cnnkit.core.progress import Progress
from cnnkit.core.spec import AbsolutePath, CapturePattern, Text
from cnnkit.core.text import enumerated, without_controls
from cnnkit.data.files import archives, locating
from cnnkit.data.files.finding import Ends, Found, Spelling
from cnnkit.data.files.walking import counts_below, files_below, files_in, how_many, subfolders, why_not
from cnnkit.data.index import Collection, ImageFile, Index, Unused
from cnnkit.data.sources import manifest_guess, manifest_of_folder, manifest_parts
from cnnkit.data.sources import manifest_rows as rows
from cnnkit.data.sources.base import OnBad, Source, grouped, in_order, reworded
from cnnkit.data.sources.manifest_rows import ManifestRow
from cnnkit.data.split_names import split_of

# How the names of archives end.
_PACKED = {".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz"}

# In folders that hold no image of the table so many files are counted.
_COUNTED = 200_000

# So many files are looked for before a training begins; of longer tables the rest when the index is made.
_LOOKED_FOR = 100_000


class Manifest(Source):
    """A table with a row an image: its path, its label, and if you like its split and its weight.

    A path that is not there is looked for by its end below the folder: ids in subfolders or without their endings, and
    paths of another machine. What was found so is said; where several files have that end it is an error.
    """

    of_files: ClassVar[bool] = True

    name: Literal["manifest"] = "manifest"
    path: AbsolutePath
    """The table: in UTF-8, columns separated by `,` `;`, tabs or spaces, their names in the first line; or a .jsonl
    file, an object a line."""
    validation_path: AbsolutePath | None = None
    """The table of the validation images, where they have one of their own, with the same columns. The paths of each
    table are looked for beside it first, or, if `folder` is set, in that; then in folders called like its split."""
    test_path: AbsolutePath | None = None
    """The table of the test images, likewise."""
    folder: AbsolutePath | None = None
    """The folder that its paths are below; may be an archive (.zip, .tar, .tar.gz), or a folder within one
    (`images.zip/train`). The folder of the table if left out."""
    extension: Text | None = None
    """What the paths lack at their end, for example `.jpg` where there are only ids."""
    header: bool = True
    """Whether the first line has the names of the columns. If not, they are called '1', '2', '3', ..., and the path is
    in '1' and the label in '2' unless said otherwise."""
    path_column: Text = "path"
    """The column of the paths."""
    label_column: Text = "label"
    """The column of the labels; these are names, also where they are numbers."""
    label_columns: tuple[Text, ...] | None = None
    """In place of `label_column` a column a class, of which one is 1 (or 1.0, true, yes) in each row, and all others
    0."""
    classes: tuple[Text, ...] | None = None
    """Names of the classes 0, 1, 2, ..., where labels are numbers; the labels themselves if left out."""
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
    """What a file that is missing or can't be decoded does, and a row that says no class or several: stop everything
    and be named, or be left out, counted and listed."""

    @model_validator(mode="after")
    def _groups_by_one_word(self) -> Self:
        if self.group_column and self.group_pattern:
            raise ValueError("group_column and group_pattern both tell what belongs together; leave one of them out")
        return self

    @classmethod
    def recognise(cls, path: Path) -> Self | None:
        """A table of images, or a folder with one and no class folders that say the same."""
        named = path.is_file()
        guess = manifest_guess.of_table(path) if named else manifest_of_folder.of_folder(path)
        if guess is None:
            return None
        if named:
            manifest_parts.add(guess, manifest_parts.beside(path))
        found = cls(**guess.settings)
        found._choices = tuple(guess.choices)
        return found

    def open(self, progress: Progress) -> Collection:
        """Reads the rows, and looks whether their images are there; of very many only the first ones."""
        root, read = self._read(progress)
        classes = in_order(row.label for row in read.rows)
        if len(classes) < 2:
            message = f"all rows have the label `{classes[0]}`; at least two classes are needed"
            raise DataError(Problem(message, file=self.path))
        there = self._there(root, read.rows[:_LOOKED_FOR])
        notes = (*self._choices, *read.notes, *there.notes)
        index = partial(self._index, root, read, there if len(read.rows) <= _LOOKED_FOR else None, classes)
        splits = Collection.own(row.split for row in read.rows)
        return Collection(
            classes,
            splits,
            (64, 64, 3),
            index,
            self.on_bad == "skip",
            notes,
            counts=lambda: Collection.counted(classes, ((row.split, row.label) for row in read.rows)),
            unused=lambda: [*read.unused, *there.unused, *self._not_listed(root, there.found)],
        )

    def labelled(self, progress: Progress) -> Index:
        """Its images to judge by, not to train with: one class is enough, and rows that say none are left out."""
        root, read = self._read(progress, to_train=False)
        return self._index(root, read, None, in_order(row.label for row in read.rows), progress, beside=False)

    def _read(self, progress: Progress, to_train: bool = True) -> tuple[Path, rows.Rows]:
        """The folder that the paths are below, and what the tables say."""
        self._check_settings()
        root, below, moved = self._places(self._root(progress))
        read = rows.read(self._readers(root, below, skip=not to_train), self.classes, to_train)
        read.notes += moved
        return root, read

    def _tables(self) -> dict[str | None, str]:
        """The files, by the split that all of their rows are in; None where the rows say it."""
        others = {"validation": self.validation_path, "test": self.test_path}
        paths: dict[str | None, str] = {split: path for split, path in others.items() if path}
        return {"train" if paths else None: self.path} | paths

    def _check_settings(self) -> None:
        for split, path in self._tables().items():
            if not os.path.isfile(path):  # noqa: PTH113 - a path may be too long for pathlib
                key = "path" if split in (None, "train") else f"{split}_path"
                raise DataError(Problem(f"{path}: {_why_absent(path)}", key=key))
        if self.label_columns is not None:
            if len(self.label_columns) < 2:
                message = "should be the columns of at least two classes; a single one is a label_column"
                raise DataError(Problem(message, key="label_columns"))
            for key, default in (("label_column", "label"), ("classes", None)):
                if getattr(self, key) != default:
                    raise DataError(Problem("label_columns say the classes; leave out one of the two", key=key))

    def _readers(self, root: Path, below: Mapping[str, str], skip: bool = False) -> list[rows.ManifestReader]:
        ending = self.extension or ""
        ending = ending if ending[:1] in ("", ".") else f".{ending}"
        names: dict[str, str | None] = {"path": self.path_column, "label": self.label_column}
        names |= {"split": self.split_column, "weight": self.weight_column}
        if self.group_column:
            names["group"] = self.group_column
        if not self.header:
            for what, number in (("path", "1"), ("label", "2")):
                names[what] = number if names[what] == what else names[what]
        columns = rows.Columns(names, self.label_columns or (), self.header)
        faults, skip = rows.Faults(), skip or self.on_bad == "skip"
        return [
            rows.ManifestReader(path, str(root), ending, columns, faults, split, skip, below.get(path, ""))
            for split, path in self._tables().items()
        ]

    def _places(self, root: Path) -> tuple[Path, dict[str, str], list[str]]:
        """Where tables of several splits have their images, which may be called alike.

        Gives the folder that all are below, that of each table below it, and what is to be said of them.
        """
        tables, folders = self._tables(), dict[str, Path]()
        if len(tables) == 1:
            return root, {}, []
        for (split, path), reader in zip(tables.items(), self._readers(root, {}), strict=True):
            names, given = reader.first_paths(locating.SAMPLE), self.folder is not None
            found = locating.of_table(names, Path(path), split or "train", root, given)
            if not (found or given) and (why := locating.alike(names, Path(path), root)):
                raise DataError(Problem(why, key=f"{split}_path"))
            folders[path] = found or (root if given else Path(path).parent)
        top = root if self.folder else Path(os.path.commonpath([root, *folders.values()]))
        below = {path: f"{folder.relative_to(top)}/" for path, folder in folders.items() if folder != top}
        notes = [
            f"The images of {_from(top, path)} are those in {folder}."
            for path, folder in below.items()
            if folders[path] != Path(path).parent
        ]
        return top, below, notes

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

    def _index(
        self,
        root: Path,
        read: rows.Rows,
        there: _There | None,
        classes: tuple[str, ...],
        progress: Progress,
        beside: bool = True,
    ) -> Index:
        there = there or self._there(root, read.rows, to_train=beside)
        moved = there.moved
        # Named as the table spells them: so they are the same wherever the images lie.
        images = [
            ImageFile(path, row.label, row.split, name, row.weight, row.group, (row.table, row.line))
            for path, row in there.found.items()
            for name in [path if row.file in moved else row.file]
        ]
        unused = [*read.unused, *there.unused, *(self._not_listed(root, there.found) if beside else ())]
        # What may be meant otherwise a config says, which there is none of where they are not to train with.
        notes = (*(self._choices if beside else ()), *read.notes, *there.notes)
        return Index.of_files(root, grouped(images, self.group_pattern), classes, progress, unused, notes)

    def _there(self, root: Path, listed: Sequence[ManifestRow], to_train: bool = True) -> _There:
        """The rows whose files are there; where they are not to train with, no setting is advised.

        Raises:
            DataError: A file is not there, or may be one of several, or two rows that differ mean the same one.
        """
        files, by_ends = _files_of(root, listed)
        foreign = _closed(root) and all(rows.is_absolute(row.file) for row in listed)
        if not files and not by_ends.several and not foreign:
            raise self._nothing_there(root, listed, to_train)
        there = _There(moved=by_ends.files.keys(), notes=(by_ends.in_words(),) if by_ends.files else ())
        faults = rows.Faults()
        for row in listed:
            if (path := files.get(row.file)) is None:
                self._add_absent(root, row, by_ends, there, faults, to_train)
                continue
            first = there.found.setdefault(path, row)
            if first is not row and first.difference(row):
                message = f"`{row.file}` is the image of {first.place_for(row)}, which says something else of it"
                faults.add("twice", row.table, row.line, f"{message}; keep one of the rows")
            elif first is not row:
                there.unused.append(row.again_after(first))
        faults.raise_if_any()
        return there

    def _add_absent(
        self, root: Path, row: ManifestRow, by_ends: Found, there: _There, faults: rows.Faults, to_train: bool
    ) -> None:
        """A row whose file is not there, or not known for sure, as a fault or as left out."""
        if files := by_ends.several.get(row.file):
            message = f"`{row.written}` may be {enumerated(files[:3], 'or')}" + (
                "; or others" if len(files) > 3 else ""
            )
            advice = "set data.source.folder to the one that is meant" if to_train else "write more of its path"
            faults.add("several files", row.table, row.line, message, f"; {advice}")
            return
        if rows.is_absolute(row.file) and not os.path.isabs(row.file):  # noqa: PTH117
            why = f"{row.written}: there is no such file on this machine, nor one below {self._from_outside(root)} "
            why += "that its path ends like"
        elif rows.is_absolute(row.file) and _closed(root):
            why = rows.outside(row.written)
        else:
            why = _why_absent(os.path.join(root, row.file))  # noqa: PTH118
            if self.on_bad == "error":  # else the list names the row; there may be a million of them
                why = f"{self._from_outside(root, row.file)}: {why}"
        if self.on_bad == "skip":
            there.unused.append(Unused(row.file, why))
        else:
            others = ", remove the rows, or set data.source.on_bad: skip" if to_train else ", or remove the rows"
            faults.add("absent", row.table, row.line, why, f"; put the files there{others}")

    def _nothing_there(self, root: Path, listed: Sequence[ManifestRow], to_train: bool) -> DataError:
        first = listed[: locating.SAMPLE]
        hint = ""
        written = [rows.with_slashes(row.written) for row in listed]
        if place := locating.in_folders(root, written) or locating.beside(Path(self.path), written):
            folder, ending = place
            there = self._from_outside(root, str(folder.relative_to(root))) if folder.is_relative_to(root) else folder
            hint = f"; they are there with folder: {there}" + (f" and extension: {ending}" if ending else "")
            if not to_train:
                hint = f"; they are in {there}: write paths{f' with {ending}' * bool(ending)} as seen from the table"
        lost = f"of the first {len(first)} images of {self.path} none is there"
        where = first[0].written if rows.is_absolute(first[0].file) else self._from_outside(root, first[0].file)
        key = ("extension" if self.extension else "folder" if self.folder else "path") if to_train else None
        return DataError(Problem(f"{lost}, first {where}{hint}", key=key))

    def _from_outside(self, root: Path, file: str = "") -> Path:
        """A file by the folder or archive that it is asked for in, not by where that is unpacked."""
        return Path(self.folder or root) / file

    def _not_listed(self, root: Path, files: Iterable[str]) -> Iterator[Unused]:
        """What else lies in the folders of the images and of the table; of folders without such an image how much."""
        used = {os.path.normpath(os.path.join(root, file)) for file in files}  # noqa: PTH118 - a million times
        direct = {Path(folder) for folder in {os.path.dirname(path) for path in used}}  # noqa: PTH120
        holding = direct.union(*(folder.parents for folder in direct))
        # The folder that those of several tables have in common may be the top of the disk.
        places = {*(Path(table).parent for table in self._tables().values()), *([root] if self.folder else [])}
        tops = [place for place in sorted(places) if not places.intersection(place.parents)]
        todo = [*tops, *(folder for folder in direct if not any(folder.is_relative_to(top) for top in tops))]
        read = set(self._tables().values())
        where = enumerated(sorted(Path(table).name for table in read), "or")
        left = _COUNTED
        for folder in (folder for folder in todo if folder in holding and folder.is_dir()):
            for path in files_in(folder):
                if path not in used and path not in read:
                    counts = counts_below(path) if os.path.isdir(path) else ()  # noqa: PTH112
                    yield Unused(_from(root, path), why_not(path) or f"not listed in {where}", *counts)
            for below in subfolders(folder) if any(folder.is_relative_to(top) for top in tops) else ():
                if below in holding:
                    todo.append(below)
                    continue
                try:
                    files = [file for file in islice(files_below(below), left) if file not in read]
                except DataError as error:  # whatever may lie beside a table, it is none of its images
                    yield Unused(_from(root, str(below)), without_controls(str(error)))
                    continue
                if files:
                    left -= len(files)
                    images = sum(1 for file in files if not why_not(file))
                    reason = f"{where} lists none of its files{'' if left else '; there are too many files to count'}"
                    to_predict = str(below) if images and split_of(below.name) == "test" else None
                    yield Unused(_from(root, str(below)), reason, sum(map(how_many, files)), images, to_predict)


def _from(root: Path, path: str) -> str:
    """A path as it is told from a folder."""
    return path.removeprefix(f"{root}/") if path.startswith(f"{root}/") else os.path.relpath(path, root)


@dataclass
class _There:
    """The images of a table that are there.

    Attributes:
        found: The row of each, by its path as the disk spells it.
        unused: Rows that are left out.
        moved: The paths that were found by their ends.
        notes: What is to be said of that.
    """

    found: dict[str, ManifestRow] = field(default_factory=dict)
    unused: list[Unused] = field(default_factory=list)
    moved: Names[str] = ()
    notes: tuple[str, ...] = ()


def _files_of(root: Path, listed: Sequence[ManifestRow]) -> tuple[dict[str, str], Found]:
    """The file of each row below the root, by what the row asks for; and which of them are found by their ends.

    What is relative is looked for so only where nothing is at its place: one file that is missing among others is
    missing, and no other one with such a name.
    """
    disk, closed = Spelling(root), _closed(root)
    files: dict[str, str] = {}
    missing: dict[str, bool] = {}
    placed = False
    for row in listed:
        absolute = rows.is_absolute(row.file)
        # What begins with the name of a drive is no folder here, and an archive names nothing outside of it.
        path = None if absolute and (closed or row.file[0] != "/") else disk.spelled(row.file)
        if path is None:
            missing[row.file] = absolute
        else:
            files[row.file] = path
            placed = placed or not absolute
    sought = {file: absolute for file, absolute in missing.items() if absolute or not placed}
    by_ends = Ends(root).find(sought) if sought else Found()
    return files | by_ends.files, by_ends


def _closed(root: Path) -> bool:
    return root.resolve().is_relative_to(cache_folder().resolve())


def _why_absent(path: str) -> str:
    if os.path.isdir(path):  # noqa: PTH112 - a path may be too long for pathlib
        return "is a folder, not a file"
    return "is a pipe or a device, not a file" if os.path.exists(path) else "there is no such file"  # noqa: PTH110
