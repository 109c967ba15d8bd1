"""Tables as people's programs write them: CSV with `,` `;` or tabs, in UTF-8 with or without a byte order mark."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from cnnkit.core import atomic
from cnnkit.core.errors import DataError, Problem

SEPARATORS = (",", ";", "\t")
"""The one that gives the first line most columns is taken; of equal ones the first."""

SEPARATED = "columns are separated by `,` `;` or tabs"
"""What to say of a table that seems to have one column only."""

# What Excel writes, and takes, as a line of its own before the names of the columns.
_SEP = re.compile(r'"?sep=([^\w\s"]|\t)"?\s*', re.IGNORECASE)


class Table:
    """The rows of a table, the one that names the columns first; empty lines are no rows.

    Going through it reads the file, and gives the line that a row begins in, from 1, and its cells as they are
    written. A row may have any number of them. A line such as `sep=;` before the names is no row.

    Attributes:
        path: The file.
        separator: What stands between two columns; known when the first row was read.
    """

    def __init__(self, path: Path):
        self.path = path
        self.separator = SEPARATORS[0]

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """Reads the rows.

        Raises:
            DataError: It can't be read, is no text, or quotes are not closed; with the line.
        """
        line = 0
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                lines = _text(file, self.path)
                head = self._head(lines)
                reader = csv.reader(chain(head, lines), delimiter=self.separator, strict=True)
                for cells in reader:
                    line, begin = reader.line_num, line + 1
                    if cells:
                        yield begin, cells
        except OSError as error:
            raise DataError(Problem(f"{self.path} can't be read: {error.strerror}", key="path")) from None
        except UnicodeDecodeError:
            message = "is not text in UTF-8; save it as a CSV file in UTF-8"
            raise DataError(Problem(message, file=str(self.path), line=_undecodable(self.path))) from None
        except csv.Error as error:
            message = f"from here on it can't be read as CSV: {error}; is a quote not closed?"
            if "field limit" in str(error):
                limit = f"{csv.field_size_limit():,} characters"
                message = f"has a cell of more than {limit}; shorten it, or close the quote that it begins with"
            raise DataError(Problem(message, file=str(self.path), line=line + 1)) from None

    def _head(self, lines: Iterator[str]) -> list[str]:
        """The lines to the first that is not blank, which tells the separator."""
        head = []
        for line in lines:
            head.append(line)
            if line.strip():
                break
        if head and (declared := _SEP.fullmatch(head[-1])):
            self.separator = declared[1]
            head[-1] = "\n"  # blank, so that the lines after it keep their numbers
        elif head:
            self.separator = max(SEPARATORS, key=lambda sign: _columns(head[-1], sign))
        return head


def text_of(header: Sequence[str], rows: Iterable[Sequence[Any]], separator: str = SEPARATORS[0]) -> str:
    """A table as the text of a CSV file."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def write(file: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes a table into a file, which is there whole or not at all."""
    atomic.write_text(file, text_of(header, rows))


def _columns(line: str, separator: str) -> int:
    try:
        return len(next(csv.reader([line], delimiter=separator), []))
    except csv.Error:
        return 1  # as if the whole line were one cell, which is longer than a cell may be


def _text(lines: Iterable[str], path: Path) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if "\0" in line:
            message = "holds a zero byte, so it is no CSV file in UTF-8 but a binary one, or text in UTF-16"
            raise DataError(Problem(message, file=str(path), line=number))
        yield line


def _undecodable(path: Path) -> int | None:
    """The first line that is not in UTF-8."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return None
