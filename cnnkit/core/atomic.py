"""Files that are written whole or not at all, whatever happens meanwhile, and over others only if asked to."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cnnkit.core.errors import UsageError

ERRORS = "surrogateescape"
"""How file names that are not UTF-8 are written and read: byte by byte as they are."""

WRITING = ".writing-"
"""How the names begin of files and folders that are not complete yet, or never will be."""

MANY = 1000
"""Files in a folder from which on they are brought to the disk together."""


def refuse(
    option: str, file: Path | None, force: bool, reads: Iterable[Path | None] = (), run: Path | None = None
) -> None:
    """Refuses a file that someone wants written where it can't be, or would replace another without their word.

    Every command with such an option asks this before any long work.

    Args:
        option: The option that names it, for example `--output`.
        file: The file; None if the option was left out and nothing else names one.
        force: Whether `--force` was given: a file that is there already may be replaced.
        reads: What the command reads, which it may not write over; None among them counts for nothing.
        run: The folder of a run that it reads, of which no file is replaced.

    Raises:
        UsageError: There is no folder for it, or one that can't be written to; something else is there, or a file and
            no `--force`, or one that the command reads; or there is a `--force` and nothing to write.
    """
    if file is None:
        if force:
            raise UsageError(f"--force is for {option}: leave it out, or name a file with {option}")
        return
    if not file.parent.is_dir():
        raise UsageError(f"{option} {file}: there is no folder {file.parent}")
    if not os.access(file.parent, os.W_OK):
        raise UsageError(f"{option} {file}: the folder {file.parent} can't be written to; choose another")
    if file.exists() and not file.is_file():
        raise UsageError(f"{option} {file}: that is no file; choose another")
    if file.exists() and any(path and path.exists() and path.samefile(file) for path in reads):
        raise UsageError(f"{option} {file}: this is what the command reads; write to another file")
    if file.exists() and run and run.resolve() in file.resolve().parents:
        raise UsageError(f"{option} {file}: this belongs to the run {run}; write to another file")
    if file.exists() and not force:
        raise UsageError(f"{option} {file} exists already; --force replaces it")


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
    """Writes a JSON file that a person can read too."""
    write_text(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
