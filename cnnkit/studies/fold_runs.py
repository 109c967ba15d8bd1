"""Whether what lies in the place of a fold's run is that: judged on its images, trained with the settings of all."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from pathlib import Path

from cnnkit.config import differences
from cnnkit.config.experiment import Experiment
from cnnkit.core import atomic
from cnnkit.core.errors import TrainingError
from cnnkit.core.text import FIRST, typed
from cnnkit.runs import reading
from cnnkit.runs.run import Run

Images = Set[tuple[str, str, str]]
"""Of each image its name, its class and the hash of its content."""


def refuse_others(folder: Path, runs: Mapping[int, Run], experiments: Mapping[int, Experiment], divided: Path) -> None:
    """Refuses runs that are not those of the folds in whose places they lie: some image would be judged twice.

    Args:
        folder: That of the folds.
        runs: Those that have begun, by their folds.
        experiments: What each fold is to be trained by.
        divided: The table of which image is in which fold.

    Raises:
        TrainingError: There are such runs, or the table can't be read.
    """
    images = _images(divided) if runs else {}
    problems = [
        f"{run.folder} is not fold {fold} of {folder}: {why}"
        for fold, run in runs.items()
        if (why := next(_others(run, experiments[fold], images.get(fold, frozenset()), divided), None))
    ]
    if len(problems) > FIRST:
        problems[FIRST:] = [f"and {len(problems) - FIRST:,} more are not"]
    if problems:
        raise TrainingError(
            *problems,
            "bring back what was trained there, or move what lies there now to another folder, and train that fold "
            f"anew: cnnkit train --resume {typed(folder)}",
        )


def _others(run: Run, experiment: Experiment, images: Images, divided: Path) -> Iterator[str]:
    """Why a run is not that of a fold; of the settings the first."""
    own, expected = (_without_copies(each, run) for each in (run.experiment, experiment.with_rate_of(run.experiment)))
    found = differences.of_learning(own, expected)
    if found:
        split = [each for each in found if each.key.startswith("data.split.")]
        told = (split or found)[0]
        yield f"{told.key}: {told}"
    # There are none yet where it was killed before.
    if run.files.split.exists() and images != {(row.image, row.label, row.digest) for row in run.split("test")}:
        yield f"its test images are not those that {divided} has for this fold"


def _without_copies(experiment: Experiment, run: Run) -> Experiment:
    """The same with the files that a run has copies of as that has them; which images a list leaves out these tell."""
    data = experiment.data.model_copy(update={"exclude": None})
    return experiment.model_copy(update={"data": data, "model": experiment.model.with_files_in(run.files.backbone)})


def _images(divided: Path) -> dict[int, Images]:
    """The images of each fold."""
    found = defaultdict(set)
    with reading.told(divided), divided.open(encoding="utf-8", errors=atomic.ERRORS, newline="") as file:
        for row in csv.DictReader(file):
            found[int(row["fold"])].add((row["image"], row["label"], row["digest"]))
    return dict(found)
