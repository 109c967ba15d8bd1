"""Files and folders that someone names to be written: over others only if asked to, over what is needed never."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cnnkit.core.errors import UsageError
from cnnkit.core.own_folders import FOLDS, is_of_runs
from cnnkit.core.text import enumerated, typed

TEXTS = (".yaml", ".yml", ".txt", ".lst", ".list", ".csv", ".json", ".jsonl", ".ndjson", ".md")
"""Endings of what commands write, which may lie among images without being one of them."""


@dataclass(frozen=True)
class Form:
    """What a command writes, and by which endings others know such a file.

    Attributes:
        said: What it is, a clause: `the sheet is a PNG`.
        endings: In small letters, the usual one first.
    """

    said: str
    endings: tuple[str, ...]

    def refuse(self, option: str, file: Path) -> None:
        """Refuses a file that would be taken for something else.

        Raises:
            UsageError: Its name ends in none of the endings.
        """
        name = file.name.lower()
        if not name.endswith(self.endings) or name in self.endings:  # a file called `.png` has a name and no ending
            raise UsageError(
                f"{option} {file}: {self.said}; give it a name that ends in {enumerated(self.endings, 'or')}"
            )


CSV = Form("the table is CSV", (".csv", ".txt"))

LIST = Form("the list is a text of names", (".txt", ".lst", ".list"))
"""What `data.exclude` takes."""


def refuse(option: str, file: Path | None, force: bool, form: Form, reads: Iterable[Path | str | None] = ()) -> None:
    """Refuses a file that someone wants written where it can't be, or would replace another without their word.

    Every command with such an option asks this before any long work.

    Args:
        option: The option that names it, for example `--output`.
        file: The file; None if the option was left out and nothing else names one.
        force: Whether `--force` was given: a file that is there already may be replaced.
        form: What is written into it.
        reads: The files and folders that the command reads; None among them counts for nothing.

    Raises:
        UsageError: There is no folder for it, or one that can't be written to; something else is there, or a file and
            no `--force`, or one that is read or belongs to a run; its ending is that of something else; or there is a
            `--force` and nothing to write.
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
    form.refuse(option, file)
    refuse_what_is_read(option, file, reads)
    if file.exists() and not force:
        raise UsageError(f"{option} {file} exists already; --force replaces it")


def refuse_what_is_read(option: str, file: Path, reads: Iterable[Path | str | None]) -> None:
    """Refuses to write over a file that is read, among images that are read, or into a run; be it there already or not.

    A text may lie in a folder of images, where nobody takes it for one. A run is what training and evaluation have
    left: a file of another hand would be taken for theirs, or lost when theirs is written.

    Args:
        option: The option that names the file.
        file: The file, or a folder of files.
        reads: The files and folders that the command reads.

    Raises:
        UsageError: It is such a file.
    """
    _refuse_inside_a_run(option, file)
    place = file.resolve()
    there = {_identity(path) for path in (place, *place.parents)}
    for read in reads:
        found = _identity(read) if read else None
        if found is None or found not in there:
            continue
        if found == _identity(place):
            raise UsageError(f"{option} {file}: this is what the command reads; write to another file")
        if file.suffix.lower() not in TEXTS:
            raise UsageError(
                f"{option} {file}: this lies among the images that the command reads, in {read}; "
                "write to another folder"
            )


def _refuse_inside_a_run(option: str, path: Path) -> None:
    """Refuses a file, or a folder, in the folder of a run, or of folds.

    Raises:
        UsageError: It lies in one.
    """
    if run := next(filter(is_of_runs, path.resolve().parents), None):
        raise UsageError(
            f"{option} {path}: this belongs to the run {run.name}, in whose folder nothing else is written; write to "
            f"another folder, for example {run.parent}"
        )


def _identity(path: Path | str) -> tuple[int, int] | None:
    """What tells a file or a folder from all others, by whatever names; None if it is not there."""
    try:
        found = os.stat(path)  # noqa: PTH116 - a million files may be read
    except OSError:
        return None
    return found.st_dev, found.st_ino


def refuse_run(folder: Path | None) -> None:
    """Refuses a folder for a new run that exists already or can't be made; asked before the long work, too.

    Args:
        folder: The folder; below `runs` if left out.

    Raises:
        UsageError: It exists, or can't be made.
    """
    if folder and os.path.lexists(folder):
        goes_on = f", or go on with it: cnnkit train --resume {typed(folder)}" * is_of_runs(folder)
        message = f"{folder} exists already, and a run never overwrites another; choose another --run{goes_on}"
        raise UsageError(message)
    if folder and not (folder.parent / FOLDS).is_file():
        _refuse_inside_a_run("--run", folder)
    above = (folder or Path("runs")).absolute().parent
    while not above.exists() and above != above.parent:
        above = above.parent
    if not os.access(above, os.W_OK):
        raise UsageError(f"the run's folder can't be made: {above} may not be written to; choose another --run")
