"""Tables of the report: rows of cells, and how whatever the result of `evaluate` says becomes some."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnnkit.core import text
from cnnkit.evaluation.metrics import words

MOST_ROWS = 2000
"""Rows of a table that a page shows; behind them stands how many more there are."""

TALL = 25
"""A table of more rows scrolls in a window of its own, and can be searched."""

_NUMBER = re.compile(r"-?[\d,.]+(e[+-]?\d+)?([\s\u00a0]%)?|-|")


@dataclass(frozen=True)
class Figure:
    """A figure with the ends of its interval.

    Attributes:
        value: The figure.
        interval: From where to where.
    """

    value: str
    interval: str

    def __str__(self) -> str:
        return f"{self.value} ({self.interval})"


Cell = str | Figure


@dataclass(frozen=True)
class Table:
    """A table as the page shows it.

    Attributes:
        title: What it is about.
        head: The names of its columns.
        rows: Its rows; the first text of each names the row.
        foot: The row of all of them, which stays below them however they are sorted; empty where there is none.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    foot: Sequence[Cell] = ()

    @property
    def shown(self) -> Sequence[Sequence[Cell]]:
        """Those of the rows that a page has room for."""
        return self.rows[:MOST_ROWS]

    @property
    def left_out(self) -> int:
        """How many rows it has no room for."""
        return len(self.rows) - len(self.shown)

    @property
    def tall(self) -> bool:
        """Whether it scrolls in a window of its own."""
        return len(self.rows) > TALL

    @property
    def numbers(self) -> list[bool]:
        """Of each column whether it has numbers, which stand below each other."""
        return [
            all(isinstance(row[i], Figure) or _NUMBER.fullmatch(str(row[i])) for row in self.rows)
            for i in range(len(self.head))
        ]


def said(value: Any) -> str:
    """A value of a JSON document as a person reads it."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            if math.isnan(value):
                return "-"
            return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.4g}"
        case int():
            return f"{value:,}"
        case list():
            return ", ".join(map(said, value))
        case dict():
            return ", ".join(f"{name}: {said(inner)}" for name, inner in value.items())
    return str(value)


def with_interval(entry: Mapping[str, Any], name: str) -> Cell:
    """A figure, and where the entry has `NAME_interval`, that too; `-` where it has neither."""
    if name not in entry:
        return "-"
    ends = entry.get(f"{name}_interval")
    value = said(entry[name])
    return Figure(value, f"{said(ends[0])} to {said(ends[1])}") if isinstance(ends, list) and ends else value


def percent(share: float) -> str:
    """A share as it is read, with a space that breaks no line."""
    return unbroken(text.percent(share, 1))


def unbroken(line: str) -> str:
    """A text in which no line breaks between a number and its percent sign."""
    return line.replace(" %", "\u00a0%")


def rows_of(entry: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Cell]]:
    """What stands in a document, a row each; lists of documents are left to `tables_of`."""
    for name, value in entry.items():
        key = f"{before}{words(name)}"
        if isinstance(value, dict):
            yield from rows_of(value, f"{key}: ")
        elif not name.endswith("_interval") and not _is_table(value):
            yield key, with_interval(entry, name)


def tables_of(title: str, entry: Mapping[str, Any]) -> Iterator[Table]:
    """A document as tables: one of what it says, and one of each list of documents within."""
    if rows := list(rows_of(entry)):
        yield Table(title, ("", "value"), rows)
    for name, value in entry.items():
        if isinstance(value, dict):
            yield from (table for table in tables_of(f"{title}: {words(name)}", value) if len(table.head) > 2)
        elif _is_table(value):
            yield of_entries(f"{title}: {words(name)}", value)


def of_entries(title: str, entries: Sequence[Mapping[str, Any]]) -> Table:
    """Documents that are alike, a row each."""
    names = list(dict.fromkeys(name for entry in entries for name in entry))
    names = [name for name in names if not name.endswith("_interval")]
    return Table(title, [words(name) for name in names], [[with_interval(e, name) for name in names] for e in entries])


def of_lists(title: str, head: str, columns: Sequence[str], lists: Mapping[str, Sequence[Any]]) -> Table:
    """Lists of figures that are alike, a row each."""
    return Table(title, (head, *columns), [[words(name), *map(said, values)] for name, values in lists.items()])


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, dict) for entry in value)
