"""The rows of a manifest: what they say, and all that may be wrong with them."""

from __future__ import annotations

import difflib
import math
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from cnnkit.core.cache import cache_folder
from cnnkit.core.errors import DataError, Problem
from cnnkit.core.text import FIRST, listed, printable
from cnnkit.data.files import tables
from cnnkit.data.index import SPLIT_NAMES, Unused
from cnnkit.data.sources.base import label_text

# A decimal comma, where it can't be one between thousands, as in 1,250.
_DECIMAL_COMMA = re.compile(r"(?![1-9][0-9]{0,2},[0-9]{3}$)([0-9]+),([0-9]+)")


@dataclass(frozen=True)
class Layout:
    """How a manifest is laid out.

    Attributes:
        path: The CSV file.
        root: The folder that its paths are below.
        ending: What the paths lack at their end; empty if nothing.
        columns: From `path`, `label`, `split` and `weight` to what these columns are called; None for one that may be
            missing, and is called just so if it is there.
    """

    path: str
    root: str
    ending: str
    columns: dict[str, str | None]


def read(layout: Layout) -> Rows:
    """The rows of a manifest.

    Raises:
        DataError: With all that is wrong.
    """
    return _Reader(layout).read()


def with_slashes(path: str) -> str:
    """A path with `/` between its folders, also where it was written on Windows."""
    return path.replace("\\", "/")


@dataclass
class Rows:
    """What the rows say, an entry an image."""

    files: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    splits: list[str | None] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    unused: list[Unused] = field(default_factory=list)

    def told(self, i: int) -> tuple[str, str | None, float]:
        """What row number i says of its image: label, split and weight."""
        return self.labels[i], self.splits[i], self.weights[i] if self.weights else 1.0


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
        for kind, named in self.kinds.items():
            *others, last = named
            problems += [*others, Problem(last.message + advice, file=last.file, line=last.line)]
            if more := self.counts[kind] - len(named):
                rows = "one more row is" if more == 1 else f"{more:,} more rows are"
                problems.append(Problem(f"and {rows} wrong in this way", file=self.file))
        if problems:
            raise DataError(*problems)


class _Reader:
    """Reads the rows of a manifest, and finds all that is wrong with them."""

    def __init__(self, layout: Layout):
        self.layout = layout
        self.path = layout.path
        self.table = tables.Table(Path(layout.path))
        self.faults = Faults(layout.path)
        self.names: dict[str, str] = {}
        # What came in an archive names nothing outside of it: who packed it may not say what is read here.
        self.closed = Path(layout.root).resolve().is_relative_to(cache_folder().resolve())

    def read(self) -> Rows:
        """Reads them all."""
        rows = iter(self.table)
        line, header = next(rows, (1, []))
        if not header:
            raise DataError(Problem("is empty; its first line should name the columns", file=self.path))
        columns = [cell.strip() for cell in header]
        at_path, at_label, at_split, at_weight = self._columns(columns, line)
        found = Rows()
        seen: dict[str, int] = {}
        add, names = self.faults.add, self.names
        for line, cells in rows:
            if len(cells) != len(columns):
                if any(cell.strip() for cell in cells):
                    add("ragged", line, f"has {len(cells)} cells; the first line names {len(columns)} columns")
                continue
            written = cells[at_path].strip()
            if not written:
                if any(cell.strip() for cell in cells):
                    add("no path", line, f"has no `{columns[at_path]}`")
                continue
            label = names.get(cells[at_label]) or self._label(cells[at_label], columns[at_label], line)
            file = self._file(written, line)
            split = None
            if at_split is not None and (split := SPLIT_NAMES.get(cells[at_split].strip().lower())) is None:
                self._no_split(cells[at_split].strip(), columns[at_split], line)
            weight = self._weight(cells[at_weight], line) if at_weight is not None else 1.0
            if file is None or label is None:
                continue
            if file in seen:
                first = seen[file]
                told = (("label", found.labels[first], label), ("split", found.splits[first], split))
                weights = ("weight", found.weights[first] if found.weights else 1.0, weight)
                for what, before, now in (*told, weights):
                    if before != now:
                        message = f"`{file}` has the {what} `{now}` here and `{before}` in line {found.lines[first]}"
                        add("twice", line, f"{message}; keep one of the rows")
                        break
                else:
                    found.unused.append(Unused(file, f"listed in line {found.lines[first]}, and again in line {line}"))
                continue
            seen[file] = len(found.files)
            found.files.append(file)
            found.written.append(with_slashes(written))
            found.labels.append(label)
            found.splits.append(split)
            found.lines.append(line)
            if at_weight is not None:
                found.weights.append(weight)
        self._check_splits(found)
        self.faults.raise_if_any()
        if not found.files:
            raise DataError(Problem("has no rows below the names of the columns", file=self.path))
        return found

    def _columns(self, columns: list[str], line: int) -> tuple[int, int, int | None, int | None]:
        """Where path, label, split and weight stand."""
        if len(columns) == 1:
            message = f"has one column only, `{columns[0]}`; path and label are two, and {tables.SEPARATED}"
            raise DataError(Problem(message, file=self.path, line=line))
        problems = []
        places: dict[str, int | None] = {}
        for what, asked in self.layout.columns.items():
            name = asked or what
            if columns.count(name) > 1:
                message = f"has {columns.count(name)} columns called `{name}`; rename all but one"
                problems.append(Problem(message, file=self.path, line=line))
            if asked and name not in columns:
                near = difflib.get_close_matches(name.lower(), [column.lower() for column in columns], 1)
                hint = next((f"; did you mean `{c}`?" for c in columns if near and c.lower() == near[0]), "")
                there = f"its first line names {listed([column for column in columns if column])}"
                message = f"{self.path} has no column `{name}`; {there}{hint}"
                problems.append(Problem(message, key=f"{what}_column", in_data=True))
            places[what] = columns.index(name) if name in columns else None
        chosen = [place for place in places.values() if place is not None]
        if len(set(chosen)) < len(chosen):
            message = f"path, label, split and weight should be columns of their own in {self.path}"
            problems.append(Problem(message, key="label_column"))
        if problems:
            raise DataError(*problems)
        return places["path"] or 0, places["label"] or 0, places["split"], places["weight"]

    def _file(self, written: str, line: int) -> str | None:
        """The path below the root; absolute or with `..` where it leads out of it."""
        if not printable(written):
            self.faults.add("control", line, f"the path {written!r} has a control character in it")
            return None
        # Nearly all are plain, and for a million of them the long way takes seconds.
        if not ("\\" in written or "./" in written or "//" in written or written[0] == "/" or written[-1] in "./"):
            return written + self.layout.ending
        below = with_slashes(written) + self.layout.ending
        path = os.path.normpath(os.path.join(self.layout.root, below))  # noqa: PTH118 - a million times
        if path.startswith(inside := f"{self.layout.root.rstrip('/')}/"):
            return path[len(inside) :]
        if self.closed:
            self.faults.add("outside", line, f"`{written}` leads out of the archive; only what is in it may be named")
            return None
        return path if os.path.isabs(written) else os.path.relpath(path, self.layout.root)  # noqa: PTH117

    def _label(self, cell: str, column: str, line: int) -> str | None:
        name = label_text(cell)
        if name and printable(name):
            self.names[cell] = name
            return name
        what = f"the label {cell!r} has a control character in it" if name else f"has no `{column}`"
        self.faults.add("label", line, what)
        return None

    def _no_split(self, cell: str, column: str, line: int) -> None:
        told = f"not `{cell}`" if cell else "it is empty"
        self.faults.add("split", line, f"`{column}` should be train, validation (val) or test; {told}")

    def _weight(self, cell: str, line: int) -> float:
        if self.table.separator == ";" and (found := _DECIMAL_COMMA.fullmatch(cell.strip())):
            cell = f"{found[1]}.{found[2]}"
        try:
            weight = math.nan if "_" in cell else float(cell)
        except ValueError:
            weight = math.nan
        if not 1e-30 < weight < 1e30:  # what float32 can hold, and be multiplied with
            told = f"not `{cell.strip()}`" if cell.strip() else "it is empty"
            self.faults.add("weight", line, f"the weight should be a number above 0, such as 0.5; {told}")
        return weight

    def _check_splits(self, found: Rows) -> None:
        if self.faults.kinds:
            return  # what can't be read may be what is missing here
        trained = {label for label, split in zip(found.labels, found.splits, strict=True) if split in (None, "train")}
        if found.files and not trained:
            raise DataError(Problem("no row has the split train", file=self.path))
        told = set(trained)
        for label, split, line in zip(found.labels, found.splits, found.lines, strict=True):
            if label not in told:
                told.add(label)
                self.faults.add("untrained", line, f"the label `{label}` is in {split}, but no row of train has it")
