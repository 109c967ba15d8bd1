"""Files that are written whole or not at all, whatever happens meanwhile."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ERRORS = "surrogateescape"
"""How file names that are not UTF-8 are written and read: byte by byte as they are."""

WRITING = ".writing-"
"""How the names begin of files and folders that are not complete yet, or never will be."""

MANY = 1000
"""Files in a folder from which on they are brought to the disk together."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields the path of a new file beside `path`; at the end it takes the place of `path` in one step.

    Where `path` is a link, what it leads to is replaced.

    Raises:
        FileExistsError: `path` is there and not a file, for example a device.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise FileExistsError(errno.EEXIST, "exists and is not a file", str(path))
    temporary = beside(path)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def making(folder: Path) -> Iterator[Path]:
    """Yields a new folder beside `folder`, which is not there yet; at the end it becomes `folder` in one step."""
    temporary = beside(folder)
    temporary.mkdir()
    try:
        yield temporary
        _sync([path for path in temporary.rglob("*") if path.is_file()])
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def beside(path: Path) -> Path:
    """A path beside another that nobody else has.

    It has no number of a process: those of two containers can be the same, and share a disk.
    """
    return path.with_name(f"{WRITING}{secrets.token_hex(6)}-{path.name}")


def _sync(files: list[Path]) -> None:
    """Brings files to the disk: each, or where there are many all that waits, which takes a hundredth of the time."""
    if len(files) > MANY and hasattr(os, "sync"):
        os.sync()
        return
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """Writes a text file in UTF-8."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors=ERRORS, newline="\n")


def write_json(path: Path, document: Any) -> None:
    """Writes a JSON file that a person can read too.

    Raises:
        ValueError: There is NaN or infinity in it, which JSON has not.
    """
    write_text(path, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
