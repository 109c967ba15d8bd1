"""Tables as people's programs write them: CSV with `,` `;` or tabs, in UTF-8 with or without a byte order mark."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from cnnkit.errors import DataError, Problem

SEPARATORS = (",", ";", "\t")
"""The one that gives the first line most columns is taken; of equal ones the first."""


def rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of a table, the one that names the columns first; empty lines are no rows.

    Yields:
        The line that a row begins in, from 1, and its cells as they are written. A row may have any number of them.

    Raises:
        DataError: It can't be read, is no text, or quotes are not closed; with the line.
    """
    line = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(_text(file, path), delimiter=separator(path), strict=True)
            for cells in reader:
                line, begin = reader.line_num, line + 1
                if cells:
                    yield begin, cells
    except OSError as error:
        raise DataError(Problem(f"{path} can't be read: {error.strerror}", key="path")) from None
    except UnicodeDecodeError:
        message = "is not text in UTF-8; save it as a CSV file in UTF-8"
        raise DataError(Problem(message, file=str(path), line=_undecodable(path))) from None
    except csv.Error as error:
        message = f"from here on it can't be read as CSV: {error}; is a quote not closed?"
        raise DataError(Problem(message, file=str(path), line=line + 1)) from None


def separator(path: Path) -> str:
    """What stands between two columns of a table.

    Raises:
        DataError: It holds a zero byte.
        OSError: It can't be read.
        UnicodeDecodeError: It is no text.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = next((text for text in _text(file, path) if text.strip()), "")

    def columns(sign: str) -> int:
        return len(next(csv.reader([first], delimiter=sign), []))

    return max(SEPARATORS, key=columns)


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
