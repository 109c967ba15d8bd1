"""Tables of the report: rows of texts, and how whatever the result of `evaluate` says becomes some."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST_ROWS = 300
"""Rows of a table that a page shows; behind them stands how many more there are."""


@dataclass(frozen=True)
class Table:
    """A table as the page shows it.

    Attributes:
        title: What it is about.
        head: The names of its columns.
        rows: Its rows; the first text of each names the row.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def shown(self) -> Sequence[Sequence[str]]:
        """Those of the rows that a page has room for."""
        return self.rows[:MOST_ROWS]

    @property
    def left_out(self) -> int:
        """How many rows it has no room for."""
        return len(self.rows) - len(self.shown)


def said(value: Any) -> str:
    """A value of a JSON document as a person reads it."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.4g}"
        case int():
            return f"{value:,}"
        case list():
            return ", ".join(map(said, value))
        case dict():
            return ", ".join(f"{name}: {said(inner)}" for name, inner in value.items())
    return str(value)


def with_interval(entry: Mapping[str, Any], name: str) -> str:
    """A figure, and where the entry has `NAME_interval`, that too."""
    ends = entry.get(f"{name}_interval")
    return said(entry[name]) + (f" ({said(ends[0])} to {said(ends[1])})" if isinstance(ends, list) and ends else "")


def words(name: str) -> str:
    """A key of a JSON document as words."""
    return name.replace("_", " ")


def rows_of(entry: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
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
    rows = [[with_interval(entry, name) if name in entry else "-" for name in names] for entry in entries]
    return Table(title, [words(name) for name in names], rows)


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, dict) for entry in value)
