"""The rows of a manifest: what they say, and all that may be wrong with them."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from cnnkit.core.cache import cache_folder
from cnnkit.core.errors import DataError, Problem
from cnnkit.core.text import FIRST, counted, listed, nearest, printable
from cnnkit.data.files import formats, tables
from cnnkit.data.index import Unused
from cnnkit.data.sources.base import as_whole_numbers, label_text
from cnnkit.data.sources.manifest_labels import Labels, OneColumn, OneOfColumns, Wrong, several_in_one
from cnnkit.data.split_names import split_of

# A decimal comma, where it can't be one between thousands, as in 1,250.
_DECIMAL_COMMA = re.compile(r"(?![1-9][0-9]{0,2},[0-9]{3}$)([0-9]+),([0-9]+)")

# What begins a path from the top of a disk of Windows, or an address: `C:/`, `https://`.
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")

LEAVE_OUT = "or leave such rows out with data.source.on_bad: skip"
"""What may be done about a row that says no class, or several, or names what is not there."""


def with_slashes(path: str) -> str:
    """A path with `/` between its folders, also where it was written on Windows."""
    return path.replace("\\", "/")


def is_absolute(path: str) -> bool:
    """Whether a path with `/` counts from the top of a disk, a server or a home, of this machine or another."""
    # Most are not, and for a million of them the expression takes a second.
    return path.startswith(("/", "~")) or (":/" in path and _ABSOLUTE.match(path) is not None)


class ManifestRow(NamedTuple):
    """What a row says of an image.

    Attributes:
        file: Its path below the folder of the images; absolute or with `..` where it leads out of it.
        written: The path as the table has it.
        label: Name of its class.
        split: Its split; None if the table has none.
        weight: What it counts for in training; None if the table does not say.
        table: The file that the row is in.
        line: Where it stands there.
        group: What it belongs to; None if the table does not say.
    """

    file: str
    written: str
    label: str
    split: str | None
    weight: float | None
    table: str
    line: int
    group: str | None = None

    def difference(self, other: ManifestRow) -> str | None:
        """The first thing that another row of the same image says otherwise; None if it says the same."""
        return next(
            (what for what in ("label", "split", "weight", "group") if getattr(self, what) != getattr(other, what)),
            None,
        )

    def place_for(self, other: ManifestRow) -> str:
        """Where it stands, as told beside another row."""
        return f"line {self.line}" + (f" of {self.table}" if other.table != self.table else "")

    def again_after(self, first: ManifestRow) -> Unused:
        """That an image is listed once more."""
        return Unused(self.file, f"listed in {first.place_for(self)}, and again in line {self.line}")


class Faults:
    """Rows with faults, the first few of each kind with what is wrong."""

    def __init__(self) -> None:
        self.kinds: dict[tuple[str, str], list[Problem]] = {}
        self.counts: dict[tuple[str, str], int] = {}
        self.advice: dict[str, str] = {}

    def add(self, kind: str, table: str, line: int, message: str, advice: str = "") -> None:
        """Counts a fault of some kind in a row, and keeps its words if it is one of the first.

        The advice is said once for each kind.
        """
        self.counts[kind, table] = self.counts.get((kind, table), 0) + 1
        self.advice[kind] = advice
        if self.counts[kind, table] <= FIRST:
            self.kinds.setdefault((kind, table), []).append(Problem(message, file=table, line=line))

    def raise_if_any(self) -> None:
        """Raises a `DataError` with all of them."""
        problems = []
        for (kind, table), (*others, last) in self.kinds.items():
            problems += [*others, replace(last, message=last.message + self.advice[kind])]
            if more := self.counts[kind, table] - len(others) - 1:
                rows = "one more row is" if more == 1 else f"{more:,} more rows are"
                problems.append(Problem(f"and {rows} wrong in this way", file=table))
        if problems:
            raise DataError(*problems)


@dataclass
class Rows:
    """What the tables of a manifest say.

    Attributes:
        rows: Each image, with what its first row says of it.
        unused: Rows that are left out, or say once more what another one says.
        notes: What was understood in a way that should be known.
    """

    rows: list[ManifestRow]
    unused: list[Unused] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Columns:
    """What the columns of a table are called.

    Attributes:
        names: From `path`, `label`, `split` and `weight` to the name; None for one that may be missing, and is called
            just so if it is there; with `group` only where the table tells of groups.
        labels: The columns of which one is set, where there is one a class; then `label` is not asked for.
        header: Whether the first line has the names; else they are 1, 2, 3, ...
    """

    names: Mapping[str, str | None]
    labels: tuple[str, ...] = ()
    header: bool = True


def read(readers: Sequence[ManifestReader], classes: Sequence[str] | None = None, to_train: bool = True) -> Rows:
    """Reads all rows of some tables.

    Args:
        readers: One a table.
        classes: Names of the classes, where labels are their numbers.
        to_train: Whether each class needs images to train with.

    Raises:
        DataError: With all that is wrong.
    """
    faults = readers[0].faults
    read_rows = [row for reader in readers for row in reader.each()]
    unused = [entry for reader in readers for entry in reader.unused]
    counts = Counter(row.label for row in read_rows)
    if names := as_whole_numbers(counts):
        read_rows = [row._replace(label=names[row.label]) for row in read_rows]
    notes = [note for note in [several_in_one(counts, counts)] if note]
    if classes is not None:
        read_rows = list(_named(read_rows, classes, faults))
    rows: dict[str, ManifestRow] = {}
    for row in read_rows:
        first = rows.setdefault(row.file, row)
        if first is row:
            continue
        if what := first.difference(row):
            before, now = getattr(first, what), getattr(row, what)
            message = f"`{row.file}` has the {what} `{now}` here and `{before}` in {first.place_for(row)}"
            faults.add("twice", row.table, row.line, f"{message}; keep one of the rows")
        else:
            unused.append(row.again_after(first))
    different = list(rows.values())
    _check_splits(different if to_train else [], faults)
    faults.raise_if_any()
    if not different:
        below = "below the names of the columns" if readers[0].columns.header else "that name an image and its class"
        raise DataError(Problem(f"has no rows {below}", file=readers[0].path))
    return Rows(different, unused, notes)


def _named(rows: Sequence[ManifestRow], classes: Sequence[str], faults: Faults) -> Iterator[ManifestRow]:
    """The rows with the names of their classes in place of the numbers, or where they have these already."""
    names = {str(i): name for i, name in enumerate(classes)} | {name: name for name in classes}
    for row in rows:
        if row.label in names:
            yield row._replace(label=names[row.label])
        else:
            known = f"0 to {len(classes) - 1}, as data.source.classes names {counted(len(classes), 'class', 'classes')}"
            faults.add("unnamed", row.table, row.line, f"the label `{row.label}` should be a number from {known}")


def _check_splits(rows: list[ManifestRow], faults: Faults) -> None:
    if faults.kinds:
        return  # what can't be read may be what is missing here
    trained = {row.label for row in rows if row.split in (None, "train")}
    if rows and not trained:
        raise DataError(Problem("no row has the split train", file=rows[0].table))
    for row in rows:
        if row.label not in trained:
            trained.add(row.label)  # each is named once
            message = f"the label `{row.label}` is in {row.split}, but no row of train has it"
            faults.add("untrained", row.table, row.line, message)


class ManifestReader:
    """Reads the rows of a table, and finds all that is wrong with them.

    Attributes:
        path: The file.
        root: The folder that its paths are below.
        ending: What the paths lack at their end; empty if nothing.
        columns: What its columns are called.
        faults: Where what is wrong is kept.
        split: That of all rows, where each split has a table of its own.
        skip: Whether rows that say no class, or several, are left out.
        below: The folder below `root` that its own paths are in, with a `/` at its end; empty if it is that.
        unused: Those that were.
    """

    def __init__(
        self,
        path: str,
        root: str,
        ending: str,
        columns: Columns,
        faults: Faults,
        split: str | None = None,
        skip: bool = False,
        below: str = "",
    ):
        self.path = path
        self.root = root
        self.ending = ending
        self.columns = columns
        self.faults = faults
        self.split = split
        self.skip = skip
        self.below = below
        self.unused: list[Unused] = []
        self.table = tables.Table(Path(path))
        # What came in an archive names nothing outside of it: who packed it may not say what is read here.
        self.closed = Path(root).resolve().is_relative_to(cache_folder().resolve())

    def each(self) -> Iterator[ManifestRow]:
        """Each row that names an image and its class; what is wrong with it, or with others, becomes a fault."""
        lines, columns, places = self._begun()
        at_path, at_split, at_weight, at_group = places["path"] or 0, places["split"], places["weight"], places["group"]
        labels: Labels = OneColumn(places["label"] or 0, columns[places["label"] or 0])
        if self.columns.labels:
            labels = OneOfColumns([columns.index(name) for name in self.columns.labels], self.columns.labels)
        for line, cells in lines:
            if len(cells) != len(columns) or not (written := cells[at_path].strip()):
                self._add_odd(line, cells, columns, at_path)
                continue
            label = labels.read(cells)
            file = self._file(written, line)
            split = self.split if at_split is None else self._split(cells[at_split], columns[at_split], line)
            weight = None if at_weight is None else self._weight(cells[at_weight], line)
            group = None if at_group is None else label_text(cells[at_group]) or None
            if isinstance(label, Wrong):
                self._add_unlabelled(label, file or written, line)
            elif file is not None:
                yield ManifestRow(file, written, label, split, weight, self.path, line, group)

    def first_paths(self, count: int) -> list[str]:
        """The paths of the first rows, with `/` and their endings, but for those from the top of a disk."""
        lines, columns, places = self._begun()
        at_path = places["path"] or 0
        written = (with_slashes(cells[at_path].strip()) for _, cells in lines if len(cells) == len(columns))
        relative = (path for path in written if path and not is_absolute(path) and printable(path))
        return [path + self.ending for path in islice(relative, count)]

    def _begun(self) -> tuple[Iterator[tuple[int, list[str]]], list[str], dict[str, int | None]]:
        """The rows, what the columns are called, and where what is in them stands."""
        lines = iter(self.table)
        line, first = next(lines, (1, []))
        if not first:
            what = "its first line should name the columns" if self.columns.header else "it should name images"
            raise DataError(Problem(f"is empty; {what}", file=self.path))
        if self.columns.header:
            columns = [cell.strip() for cell in first]
        else:
            columns = [str(number) for number in range(1, len(first) + 1)]
            lines = chain([(line, first)], lines)
        return lines, columns, self._places(columns, first, line)

    def _add_odd(self, line: int, cells: list[str], columns: list[str], at_path: int) -> None:
        """A row without a path, or of another length; one that is empty is none."""
        if not any(cell.strip() for cell in cells):
            return
        if len(cells) == len(columns):
            self.faults.add("no path", self.path, line, f"has no `{columns[at_path]}`")
        else:
            there = f"names {len(columns)} columns" if self.columns.header else f"has {len(columns)}"
            self.faults.add("ragged", self.path, line, f"has {len(cells)} cells; the first line {there}")

    def _add_unlabelled(self, wrong: Wrong, file: str, line: int) -> None:
        if wrong.kind == "label":
            self.faults.add(wrong.kind, self.path, line, wrong.message)
        elif self.skip:
            self.unused.append(Unused(file, f"its row {wrong.message}"))
        else:
            self.faults.add(wrong.kind, self.path, line, wrong.message, f"; put it right, {LEAVE_OUT}")

    def _places(self, columns: list[str], first: list[str], line: int) -> dict[str, int | None]:
        """Where path, label, split, weight and group stand."""
        if len(columns) == 1:
            there = f", `{columns[0]}`" if self.columns.header else ""
            message = f"has one column only{there}; path and label are two, and {tables.SEPARATED}"
            raise DataError(Problem(message, file=self.path, line=line))
        wanted = [(what, name or what, f"{what}_column", name) for what, name in self.columns.names.items()]
        if self.columns.labels:
            wanted = [each for each in wanted if each[0] != "label"]
        places = {what: columns.index(name) if name in columns else None for what, name, _, _ in wanted}
        wanted += [("", name, "label_columns", name) for name in self.columns.labels]
        missing = [(key, name) for _, name, key, asked in wanted if asked and name not in columns]
        if missing and self.columns.header and (image := next(filter(_is_image, first), None)):
            message = (
                f"{self.path} has no names of columns in its first line, but an image, `{image.strip()}`; set it to"
            )
            raise DataError(Problem(f"{message} false", key="header", in_data=True))
        problems = [
            Problem(f"has {columns.count(name)} columns called `{name}`; rename all but one", file=self.path, line=line)
            for _, name, _, _ in wanted
            if columns.count(name) > 1
        ]
        what = "its first line names" if self.columns.header else "without a header they are called"
        there = f"{what} {listed([column for column in columns if column])}"
        for key, name in missing:
            message = f"{self.path} has no column `{name}`; {there}{nearest(name, columns)}"
            problems.append(Problem(message, key=key, in_data=True))
        chosen = [columns.index(name) for _, name, _, _ in wanted if name in columns]
        if len(set(chosen)) < len(chosen):
            message = f"path, label, split, weight and group should be columns of their own in {self.path}"
            problems.append(Problem(message, key="label_columns" if self.columns.labels else "label_column"))
        if self.split and places["split"] is not None:
            message = f"has a column `{columns[places['split']]}`, but the splits have tables of their own"
            problems.append(Problem(f"{message}; remove the column, or validation_path and test_path", self.path, line))
        if problems:
            raise DataError(*problems)
        return {"label": None, "group": None} | places

    def _file(self, written: str, line: int) -> str | None:
        """The path below the root; absolute or with `..` where it leads out of it."""
        if not printable(written):
            self.faults.add("control", self.path, line, f"the path {written!r} has a control character in it")
            return None
        # Nearly all are plain, and for a million of them the long way takes seconds.
        odd = "\\" in written or "./" in written or "//" in written or ":/" in written
        if not (odd or written[0] in "/~" or written[-1] in "./"):
            return self.below + written + self.ending
        below = with_slashes(written) + self.ending
        if is_absolute(below) and not below.startswith("/"):
            return below
        path = os.path.normpath(os.path.join(self.root, self.below, below))  # noqa: PTH118 - a million times
        if path.startswith(inside := f"{self.root.rstrip('/')}/"):
            return path[len(inside) :]
        if os.path.isabs(below):  # noqa: PTH117
            return path
        if self.closed:
            self.faults.add("outside", self.path, line, outside(written))
            return None
        return os.path.relpath(path, self.root)

    def _split(self, cell: str, column: str, line: int) -> str | None:
        split = split_of(cell)
        if split is None:
            expected = f"`{column}` should be train, validation (val) or test"
            self.faults.add("split", self.path, line, f"{expected}; {_not(cell)}")
        return split

    def _weight(self, cell: str, line: int) -> float:
        if self.table.separator == ";" and (found := _DECIMAL_COMMA.fullmatch(cell.strip())):
            cell = f"{found[1]}.{found[2]}"
        try:
            weight = math.nan if "_" in cell else float(cell)
        except ValueError:
            weight = math.nan
        if not 1e-30 < weight < 1e30:  # what float32 can hold, and be multiplied with
            message = f"the weight should be a number above 0, such as 0.5; {_not(cell)}"
            self.faults.add("weight", self.path, line, message)
        return weight


def outside(written: str) -> str:
    """That a path names what is not in the archive that its table came in."""
    return f"`{written}` leads out of the archive; only what is in it may be named"


def _is_image(cell: str) -> bool:
    return os.path.splitext(with_slashes(cell.strip()))[1].lower() in formats.EXTENSIONS  # noqa: PTH122


def _not(cell: str) -> str:
    """What a cell has in place of what it should have."""
    return f"not `{cell.strip()}`" if cell.strip() else "it is empty"
