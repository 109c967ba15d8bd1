"""The hash of a run's best weights in its record: there from the end of its training until it goes on.

Weights and the file that names them with their hash could be changed together; the record would still tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnnkit.core.errors import TrainingError
from cnnkit.runs import checkpoints
from cnnkit.runs.files import Files


def of_best(files: Files) -> dict[str, str]:
    """From the file of the best weights, below the run, to the SHA-256 they were saved with; empty where none are told.

    What is wrong with what tells it is said by `checkpoints.load`, or mended from a state.
    """
    try:
        best = checkpoints.read(files.checkpoints, checkpoints.BEST)
    except TrainingError:
        return {}
    return {f"{files.checkpoints.name}/{best['file']}": best["sha256"]}


def recorded(hashes: Mapping[str, Any], files: Files) -> dict[str, Any]:
    """The same from the hashes in a run's record; empty in that of a run in training, or of an earlier version."""
    return {name: digest for name, digest in hashes.items() if name.startswith(f"{files.checkpoints.name}/")}


def changed(hashes: Mapping[str, Any], files: Files) -> str | None:
    """The file of best weights that are other ones than a run's record tells; None where they are these."""
    known, found = recorded(hashes, files), of_best(files)
    return next((name for name, digest in found.items() if known and known.get(name) != digest), None)
