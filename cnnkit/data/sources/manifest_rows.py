"""The rows of a manifest: what they say, and all that may be wrong with them."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from cnnkit.core.cache import cache_folder
from cnnkit.core.errors import DataError, Problem
from cnnkit.core.text import FIRST, listed, nearest, printable
from cnnkit.data.files import tables
from cnnkit.data.index import SPLIT_NAMES, Unused
from cnnkit.data.sources.base import label_text

# A decimal comma, where it can't be one between thousands, as in 1,250.
_DECIMAL_COMMA = re.compile(r"(?![1-9][0-9]{0,2},[0-9]{3}$)([0-9]+),([0-9]+)")


def with_slashes(path: str) -> str:
    """A path with `/` between its folders, also where it was written on Windows."""
    return path.replace("\\", "/")


class ManifestRow(NamedTuple):
    """What a row says of an image.

    Attributes:
        file: Its path below the folder of the images; absolute or with `..` where it leads out of it.
        written: The path as the table has it.
        label: Name of its class.
        split: Its split; None if the table has none.
        weight: What it counts for in training; None if the table does not say.
        line: Where the row stands.
        group: What it belongs to; None if the table does not say.
    """

    file: str
    written: str
    label: str
    split: str | None
    weight: float | None
    line: int
    group: str | None = None

    def difference(self, other: ManifestRow) -> str | None:
        """The first thing that another row of the same image says otherwise; None if it says the same."""
        return next(
            (what for what in ("label", "split", "weight", "group") if getattr(self, what) != getattr(other, what)),
            None,
        )

    def again_after(self, first: ManifestRow) -> Unused:
        """That an image is listed once more."""
        return Unused(self.file, f"listed in line {first.line}, and again in line {self.line}")


class Faults:
    """Rows with faults, the first few of each kind with what is wrong."""

    def __init__(self, file: str):
        self.file = file
        self.kinds: dict[str, list[Problem]] = {}
        self.counts: dict[str, int] = {}

    def add(self, kind: str, line: int, message: str) -> None:
        """Counts a fault of some kind in a row, and keeps its words if it is one of the first."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if self.counts[kind] <= FIRST:
            self.kinds.setdefault(kind, []).append(Problem(message, file=self.file, line=line))

    def raise_if_any(self, advice: str = "") -> None:
        """Raises a `DataError` with all of them; `advice` is said once for each kind."""
        problems = []
        for kind, (*others, last) in self.kinds.items():
            problems += [*others, replace(last, message=last.message + advice)]
            if more := self.counts[kind] - len(others) - 1:
                rows = "one more row is" if more == 1 else f"{more:,} more rows are"
                problems.append(Problem(f"and {rows} wrong in this way", file=self.file))
        if problems:
            raise DataError(*problems)


class ManifestReader:
    """Reads the rows of a manifest, and finds all that is wrong with them.

    Attributes:
        path: The CSV file.
        root: The folder that its paths are below.
        ending: What the paths lack at their end; empty if nothing.
        columns: From `path`, `label`, `split` and `weight` to what these columns are called; None for one that may be
            missing, and is called just so if it is there; with `group` only where the table tells of groups.
        rows: From the file of each image to what was read of it.
        repeated: Rows that say once more what another one says.
    """

    def __init__(self, path: str, root: str, ending: str, columns: dict[str, str | None]):
        self.path = path
        self.root = root
        self.ending = ending
        self.columns = columns
        self.rows: dict[str, ManifestRow] = {}
        self.repeated: list[Unused] = []
        self.table = tables.Table(Path(path))
        self.faults = Faults(path)
        self.names: dict[str, str] = {}
        # What came in an archive names nothing outside of it: who packed it may not say what is read here.
        self.closed = Path(root).resolve().is_relative_to(cache_folder().resolve())

    def read(self) -> list[ManifestRow]:
        """Reads them all.

        Raises:
            DataError: With all that is wrong.
        """
        for row in self._each():
            first = self.rows.setdefault(row.file, row)
            if first is row:
                continue
            if what := first.difference(row):
                before, now = getattr(first, what), getattr(row, what)
                message = f"`{row.file}` has the {what} `{now}` here and `{before}` in line {first.line}"
                self.faults.add("twice", row.line, f"{message}; keep one of the rows")
            else:
                self.repeated.append(row.again_after(first))
        rows = list(self.rows.values())
        self._check_splits(rows)
        self.faults.raise_if_any()
        if not rows:
            raise DataError(Problem("has no rows below the names of the columns", file=self.path))
        return rows

    def _each(self) -> Iterator[ManifestRow]:
        """Each row that names an image and its class; what is wrong with it, or with others, becomes a fault."""
        lines = iter(self.table)
        line, header = next(lines, (1, []))
        if not header:
            raise DataError(Problem("is empty; its first line should name the columns", file=self.path))
        columns = [cell.strip() for cell in header]
        at_path, at_label, at_split, at_weight, at_group = self._places(columns, line)
        names = self.names
        for line, cells in lines:
            if len(cells) != len(columns) or not (written := cells[at_path].strip()):
                if len(cells) == len(columns) and any(cell.strip() for cell in cells):
                    self.faults.add("no path", line, f"has no `{columns[at_path]}`")
                elif any(cell.strip() for cell in cells):
                    message = f"has {len(cells)} cells; the first line names {len(columns)} columns"
                    self.faults.add("ragged", line, message)
                continue
            label = names.get(cells[at_label]) or self._label(cells[at_label], columns[at_label], line)
            file = self._file(written, line)
            split = None
            if at_split is not None and (split := SPLIT_NAMES.get(cells[at_split].strip().lower())) is None:
                expected = f"`{columns[at_split]}` should be train, validation (val) or test"
                self.faults.add("split", line, f"{expected}; {_not(cells[at_split])}")
            weight = None if at_weight is None else self._weight(cells[at_weight], line)
            group = None if at_group is None else label_text(cells[at_group]) or None
            if file is not None and label is not None:
                yield ManifestRow(file, written, label, split, weight, line, group)

    def _places(self, columns: list[str], line: int) -> tuple[int, int, int | None, int | None, int | None]:
        """Where path, label, split, weight and group stand."""
        if len(columns) == 1:
            message = f"has one column only, `{columns[0]}`; path and label are two, and {tables.SEPARATED}"
            raise DataError(Problem(message, file=self.path, line=line))
        problems = []
        places: dict[str, int | None] = {}
        for what, asked in self.columns.items():
            name = asked or what
            if columns.count(name) > 1:
                message = f"has {columns.count(name)} columns called `{name}`; rename all but one"
                problems.append(Problem(message, file=self.path, line=line))
            if asked and name not in columns:
                there = f"its first line names {listed([column for column in columns if column])}"
                message = f"{self.path} has no column `{name}`; {there}{nearest(name, columns)}"
                problems.append(Problem(message, key=f"{what}_column", in_data=True))
            places[what] = columns.index(name) if name in columns else None
        chosen = [place for place in places.values() if place is not None]
        if len(set(chosen)) < len(chosen):
            message = f"path, label, split, weight and group should be columns of their own in {self.path}"
            problems.append(Problem(message, key="label_column"))
        if problems:
            raise DataError(*problems)
        return places["path"] or 0, places["label"] or 0, places["split"], places["weight"], places.get("group")

    def _file(self, written: str, line: int) -> str | None:
        """The path below the root; absolute or with `..` where it leads out of it."""
        if not printable(written):
            self.faults.add("control", line, f"the path {written!r} has a control character in it")
            return None
        # Nearly all are plain, and for a million of them the long way takes seconds.
        if not ("\\" in written or "./" in written or "//" in written or written[0] == "/" or written[-1] in "./"):
            return written + self.ending
        below = with_slashes(written) + self.ending
        path = os.path.normpath(os.path.join(self.root, below))  # noqa: PTH118 - a million times
        if path.startswith(inside := f"{self.root.rstrip('/')}/"):
            return path[len(inside) :]
        if self.closed:
            self.faults.add("outside", line, f"`{written}` leads out of the archive; only what is in it may be named")
            return None
        return path if os.path.isabs(written) else os.path.relpath(path, self.root)  # noqa: PTH117

    def _label(self, cell: str, column: str, line: int) -> str | None:
        name = label_text(cell)
        if name and printable(name):
            self.names[cell] = name
            return name
        what = f"the label {cell!r} has a control character in it" if name else f"has no `{column}`"
        self.faults.add("label", line, what)
        return None

    def _weight(self, cell: str, line: int) -> float:
        if self.table.separator == ";" and (found := _DECIMAL_COMMA.fullmatch(cell.strip())):
            cell = f"{found[1]}.{found[2]}"
        try:
            weight = math.nan if "_" in cell else float(cell)
        except ValueError:
            weight = math.nan
        if not 1e-30 < weight < 1e30:  # what float32 can hold, and be multiplied with
            self.faults.add("weight", line, f"the weight should be a number above 0, such as 0.5; {_not(cell)}")
        return weight

    def _check_splits(self, rows: list[ManifestRow]) -> None:
        if self.faults.kinds:
            return  # what can't be read may be what is missing here
        trained = {row.label for row in rows if row.split in (None, "train")}
        if rows and not trained:
            raise DataError(Problem("no row has the split train", file=self.path))
        for row in rows:
            if row.label not in trained:
                trained.add(row.label)  # each is named once
                message = f"the label `{row.label}` is in {row.split}, but no row of train has it"
                self.faults.add("untrained", row.line, message)


def _not(cell: str) -> str:
    """What a cell has in place of what it should have."""
    return f"not `{cell.strip()}`" if cell.strip() else "it is empty"
