"""What runs say of the same images: their answers to a split, brought into one order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from cnnkit.core.errors import DataError, Incomplete, UsageError
from cnnkit.core.lazy import np
from cnnkit.core.progress import Progress
from cnnkit.core.text import counted, some, typed
from cnnkit.evaluation.answers import Answers
from cnnkit.evaluation.evaluate import Asked, evaluated
from cnnkit.runs.run import Run

Key = tuple[str, str, int]
"""Content and class of an image, and which it is of those that are equal in both."""


def keys(run: Run, split: str) -> dict[str, Key]:
    """What the images of a split are, by their names: by their content, as the same images may be called otherwise.

    Raises:
        TrainingError: The record of the splits is missing or damaged.
    """
    copies: Counter[tuple[str, str]] = Counter()
    found = {}
    for row in sorted(run.split(split)):
        what = (row.digest, row.label)
        found[row.image] = (*what, copies[what])
        copies[what] += 1
    return found


def refuse_others(runs: Sequence[Run], split: str) -> None:
    """Refuses runs whose images of a split, or whose classes, are not those of the first.

    Raises:
        DataError: They are others, with how many.
    """
    first, *others = runs
    ours = set(keys(first, split).values())
    for run in others:
        theirs = set(keys(run, split).values())
        both = f"{first.folder} and {run.folder}"
        if set(run.classes) != set(first.classes):
            only = sorted(set(run.classes) ^ set(first.classes))
            raise DataError(f"{both} tell other classes apart ({some(only)} only one of them); they can't be compared")
        if only_ours := len(ours - theirs):
            labelled = len({key[0] for key in ours} & {key[0] for key in theirs - ours})
            classes = f" ({counted(labelled, 'of them is', 'of them are')} there in another class)" if labelled else ""
            raise DataError(
                f"{both} have other {split} images: {only_ours:,} of the {len(ours):,} of the first are not among the "
                f"{len(theirs):,} of the second{classes}; train both on the same images with the same data.split, "
                "seed included, and compare those runs"
            )
        if more := len(theirs - ours):
            raise DataError(
                f"{both} have other {split} images: all {len(ours):,} of the first are among the {len(theirs):,} of "
                f"the second, which has {more:,} more; train both on the same images with the same data.split, seed "
                "included, and compare those runs"
            )


def answers(run: Run, split: str, progress: Progress) -> Answers:
    """What a run says of a split: as it was evaluated, or evaluated now if that was not, or with other weights.

    Raises:
        DataError: It has to be evaluated, and its images are gone or changed.
        TrainingError: It has no usable checkpoint.
        CnnkitError: What it says can't be kept: the error of its kind, a DiskError where the disk is full.
    """
    found = Answers.read(run, split)
    if found is None:
        progress.say(f"{run.folder} was not evaluated on {split} yet, or with other weights: that is done now")
        try:
            _, found = evaluated(run, Asked(split, questions=()), progress)
        except Incomplete as error:  # its document is that of an evaluation, and nobody is told it here
            why = [f"{run.folder}: {each['step']}: {each['message']}" for each in error.document["failed"]]
            raise type(error.worst)(*why) from error
        except DataError as error:
            hint = f"once the images are there again: cnnkit evaluate {typed(run.folder)} --split {split}"
            raise DataError(*error.problems, hint) from None
    return found


def aligned(runs: Sequence[Run], split: str, progress: Progress) -> list[Answers]:
    """What runs say of a split, with images and classes in the order of the first.

    Raises:
        DataError: Their images or classes are others.
        TrainingError: One has no usable checkpoint, or what it said is damaged.
        UsageError: The split has no images.
    """
    refuse_others(runs, split)
    if not runs[0].split(split):
        raise UsageError(f"{runs[0].folder}: the {split} split of this run has no images")
    told, order = [], None
    for run in runs:
        found, known = answers(run, split, progress), keys(run, split)
        places = {known[name]: i for i, name in enumerate(found.names)}
        order = order or list(places)
        told.append(_in_order(found, [places[key] for key in order], runs[0].classes))
    return told


def _in_order(found: Answers, images: Sequence[int], classes: Sequence[str]) -> Answers:
    """Answers with images and classes in an order."""
    columns = [list(found.classes).index(name) for name in classes]
    new = np.argsort(columns)  # from the number that a class has in the run to that in `classes`
    return replace(
        found,
        labels=new[np.asarray(found.labels)[images]],
        probabilities=np.asarray(found.probabilities)[images][:, columns],
        classes=classes,
        names=[found.names[i] for i in images],
        logits=None,
    )
