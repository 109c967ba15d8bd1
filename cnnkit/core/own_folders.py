"""The folders that are cnnkit's own, wherever they lie: those of runs and its cache. Pictures in them are no images."""

from __future__ import annotations

import os
from pathlib import Path

from cnnkit.core.cache import LOCK, cache_folder
from cnnkit.core.text import enumerated, typed

CONFIG = "config.yaml"
"""In the folder of a run, or of folds: the experiment."""

PROVENANCE = "provenance.json"
"""In the folder of a run that has begun: its record."""

FOLDS = "folds.json"
"""In a folder that holds runs, one for each fold: what they have come to; it is no run itself."""

DIVIDED = "folds.csv"
"""Beside it: which image is in which fold."""

TRAINED = "of a run of cnnkit"
"""Why what lies in the folder of a run, or of folds, is not taken for images."""

CACHED = "of the cache of cnnkit"
"""The same of the cache that is used."""


def is_of_runs(folder: Path | str) -> bool:
    """Whether a folder is that of a run that has begun, or of folds, which are runs."""
    return bool(_marks(folder))


def _marks(folder: Path | str) -> tuple[str, ...]:
    """By which files a folder is known as one of these; none for another. Fewer of them may be anybody's."""
    if not _has(folder, CONFIG):
        return ()
    kinds = ((CONFIG, PROVENANCE), (CONFIG, FOLDS, DIVIDED))
    return next((marks for marks in kinds if all(_has(folder, name) for name in marks)), ())


def why_no_images(folder: Path) -> str | None:
    """Why a folder can't be taken for one of images, with what to do: it is of a run, or of folds. None for another."""
    if not (marks := _marks(folder)):
        return None
    return (
        f"{folder} is what was trained, and no folder of images, as {enumerated(marks, 'and')} in it tell: name the "
        f"images instead, to which data.source in {typed(folder / CONFIG)} leads; or, if these files are of something "
        "else, move them to another folder"
    )


def run_of_fold(folder: Path, fold: int) -> Path:
    """Where, in the folder of folds, the run lies that is judged on one of them, from 1."""
    return folder / f"fold-{fold}"


def whose(folder: Path | str) -> str | None:
    """What a folder is of, `TRAINED` or `CACHED`, if it is cnnkit's own; None for any other folder, and for a file."""
    if is_of_runs(folder):
        return TRAINED
    if not _has(folder, LOCK):  # looked for first, as each of a hundred thousand folders is asked about
        return None
    try:
        return CACHED if os.path.samefile(folder, cache_folder()) else None  # noqa: PTH121
    except OSError:  # one of them is not there, and so they are not the same
        return None


def _has(folder: Path | str, name: str) -> bool:
    return os.path.isfile(f"{folder}/{name}")  # noqa: PTH113
