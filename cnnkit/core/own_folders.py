"""The folders that are cnnkit's own, wherever they lie: those of runs and its cache. Pictures in them are no images."""

from __future__ import annotations

import os
from pathlib import Path

from cnnkit.core.cache import LOCK, cache_folder

CONFIG = "config.yaml"
"""In the folder of a run, or of folds: the experiment."""

PROVENANCE = "provenance.json"
"""In the folder of a run that has begun: its record."""

FOLDS = "folds.json"
"""In a folder that holds runs, one for each fold: what they have come to; it is no run itself."""

TRAINED = "of a run of cnnkit"
"""Why what lies in the folder of a run, or of folds, is not taken for images."""

CACHED = "of the cache of cnnkit"
"""The same of the cache that is used."""


def is_of_runs(folder: Path | str) -> bool:
    """Whether a folder is that of a run that has begun, or of folds, which are runs.

    One of these files alone may be anybody's.
    """
    return _has(folder, CONFIG) and (_has(folder, PROVENANCE) or _has(folder, FOLDS))


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
