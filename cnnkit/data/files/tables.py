"""Tables as people's programs write them: CSV with `,` `;` or tabs, lists with spaces, JSON a line; in UTF-8."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from cnnkit.core import atomic
from cnnkit.core.errors import DataError, Problem
from cnnkit.core.text import first_line

SEPARATORS = (",", ";", "\t")
"""The one that gives the first line most columns is taken; of equal ones the first."""

SEPARATED = "columns are separated by `,` `;`, tabs or spaces"
"""What to say of a table that seems to have one column only."""

SAMPLE = 20
"""So many lines tell whether columns are separated by spaces: all have to have the same number of them."""

# What Excel writes, and takes, as a line of its own before the names of the columns.
_SEP = re.compile(r'"?sep=([^\w\s"]|\t)"?\s*', re.IGNORECASE)


class Table:
    """The rows of a table, the one that names the columns first; empty lines are no rows.

    Going through it reads the file, and gives the line that a row begins in, from 1, and its cells as they are
    written. A row may have any number of them. A line such as `sep=;` before the names is no row. Of a file whose name
    ends in .jsonl each line is an object; the keys of the first name the columns.

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
                if self.path.suffix.lower() == ".jsonl":
                    yield from _objects(lines, self.path)
                    return
                head = self._head(lines)
                lines = chain(head, lines)
                if spaces := self.separator == " ":
                    lines = (f"{line.strip()}\n" for line in lines)
                reader = csv.reader(lines, delimiter=self.separator, skipinitialspace=spaces, strict=True)
                for cells in reader:
                    line, begin = reader.line_num, line + 1
                    if cells:
                        yield begin, cells
        except OSError as error:
            raise DataError(Problem(f"{self.path} can't be read: {error.strerror}", key="path")) from None
        except UnicodeDecodeError:
            raise DataError(_undecodable(self.path)) from None
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
            if _columns(head[-1], self.separator) == 1 and len(head[-1].split()) > 1:
                more = list(islice(lines, SAMPLE))
                if len({len(line.split()) for line in (head[-1], *more) if line.strip()}) == 1:
                    self.separator = " "
                head += more
        return head


def text_of(header: Sequence[str], rows: Iterable[Sequence[Any]], separator: str = SEPARATORS[0]) -> str:
    """A table as the text of a CSV file."""
    return "".join(lines_of(header, rows, separator))


def lines_of(header: Sequence[str], rows: Iterable[Sequence[Any]], separator: str = SEPARATORS[0]) -> Iterator[str]:
    """The same row by row, as the rows come; the header with the first of them, so not before it is known to come."""
    line = io.StringIO()
    writer = csv.writer(line, delimiter=separator, lineterminator="\n")
    coming = iter(rows)
    first = list(itertools.islice(coming, 1))
    for row in itertools.chain((header,), first, coming):
        writer.writerow(row)
        yield line.getvalue()
        line.seek(0)
        line.truncate()


def write(file: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes a table into a file, which is there whole or not at all."""
    atomic.write_text(file, text_of(header, rows))


def _columns(line: str, separator: str) -> int:
    try:
        return len(next(csv.reader([line], delimiter=separator), []))
    except csv.Error:
        return 1  # as if the whole line were one cell, which is longer than a cell may be


def _objects(lines: Iterable[str], path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of a file with a JSON object a line; what is neither text nor a number becomes its JSON."""
    names: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            message = f"is no JSON: {first_line(error)}"
            raise DataError(Problem(message, file=str(path), line=number)) from None
        if not isinstance(row, dict):
            raise DataError(Problem("should be a JSON object, as {...}", file=str(path), line=number))
        if not names:
            names = list(row)
            yield number, names
        if others := [name for name in row if name not in names]:
            message = f"has `{others[0]}`, which the first line does not have; each should have the same keys"
            raise DataError(Problem(message, file=str(path), line=number))
        values = (row.get(name) for name in names)
        yield number, ["" if each is None else each if isinstance(each, str) else json.dumps(each) for each in values]


def _text(lines: Iterable[str], path: Path) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if "\0" in line:
            message = "holds a zero byte, so it is no CSV file in UTF-8 but a binary one, or text in UTF-16"
            raise DataError(Problem(message, file=str(path), line=number))
        yield line


def _undecodable(path: Path) -> Problem:
    """What is to be said of a file that is not in UTF-8, with the first line that is not."""
    with path.open("rb") as file:
        begin = file.read(2)
        if begin in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            message = "is text in UTF-16, as some programs of Windows write it; save it as a CSV file in UTF-8"
            return Problem(message, file=str(path), line=1)
        file.seek(0)
        line = next((number for number, line in enumerate(file, start=1) if not _is_utf8(line)), None)
    return Problem("is not text in UTF-8; save it as a CSV file in UTF-8", file=str(path), line=line)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
