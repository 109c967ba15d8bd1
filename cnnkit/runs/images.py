"""The images of a run, found again and checked: those that it was trained and judged on, or none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cnnkit.config.experiment import Experiment
from cnnkit.core.errors import ConfigError, DataError, Problem
from cnnkit.core.progress import Progress
from cnnkit.core.spec import path_settings
from cnnkit.core.text import counted, some
from cnnkit.data.feeding.loading import BAD_FILES
from cnnkit.data.index import SPLITS, Index
from cnnkit.data.preparation.base import files_beside
from cnnkit.data.sources.base import Source
from cnnkit.runs.run import Run


def index_of(run: Run, split: str, progress: Progress) -> Index:
    """The images that were in a split of a run, after a check that they are still the same.

    Args:
        run: The run; its settings tell where the images are now if they have moved.
        split: `test`, `validation` or `train`.
        progress: Is told how far it is.

    Raises:
        DataError: Images of that split are gone, or are not the ones of the run.
    """
    rows = run.split(split)
    if not rows:
        raise DataError(f"{run.folder}: the {split} split of this run has no images")
    source = run.experiment.data.source
    index = _index_of(source, progress)
    where = {name: i for i, name in enumerate(index.names)}
    every = counted(len(rows), f"{split} image")
    gone = [row.image for row in rows if row.image not in where]
    # In the order of the index, as in training: sums of floats depend on it.
    found = sorted((where[row.image], row) for row in rows if row.image in where)
    changed = [row.image for i, row in found if index.digests[i] != row.digest]
    moved = [row.image for i, row in found if index.classes[index.labels[i]] != row.label]
    for names, one, more in (
        (gone, "is gone", "are gone"),
        (changed, "has changed", "have changed"),
        (moved, "is in another class now", "are in another class now"),
    ):
        if names:
            what = one if len(names) == 1 else more
            raise DataError(
                f"{len(names)} of the {every} {what} since the run was trained, first {names[0]}" + _if_moved(source)
            )
    if list(index.classes) != run.classes:
        raise DataError(f"the source has other classes now than the run: {_other_classes(index.classes, run.classes)}")
    index = index.take(i for i, _ in found)
    _refuse_without(index, split, run.experiment)
    beside = run.preprocessing.digests_beside(index)
    if other := [row.image for (_, row), now in zip(found, beside, strict=True) if row.beside != now]:
        raise DataError(
            f"beside {len(other)} of the {every} lies another file, which data.prepare reads, than "
            f"when the run was trained, first beside {other[0]}"
        )
    return index


def refuse_others(run: Run, index: Index, splits: Sequence[str], beside: Sequence[str]) -> None:
    """Refuses images that are not all of those with which a run began, and no others, each in its split.

    Args:
        run: The run, which is to go on with them.
        index: The images as they are now.
        splits: The split of each.
        beside: Digests of the files beside each that `data.prepare` reads.

    Raises:
        DataError: They are others, with what has changed.
    """
    before = {row.image: (split, row) for split in SPLITS for row in run.split(split)}
    now = {name: i for i, name in enumerate(index.names)}
    both = [(before[name], i) for name, i in now.items() if name in before]
    found = {
        "gone": [name for name in before if name not in now],
        "new": [name for name in now if name not in before],
        "changed": [row.image for (_, row), i in both if index.digests[i] != row.digest],
        "in another class": [row.image for (_, row), i in both if index.classes[index.labels[i]] != row.label],
        "beside another file that data.prepare reads": [row.image for (_, row), i in both if beside[i] != row.beside],
        "in another split": [row.image for (split, row), i in both if splits[i] != split],
    }
    told = [
        f"{counted(len(names), 'image')} {'is' if len(names) == 1 else 'are'} {what}, first {names[0]}"
        for what, names in found.items()
        if names
    ]
    if not told and list(index.classes) != run.classes:
        told = [f"there are other classes than before: {_other_classes(index.classes, run.classes)}"]
    if told:
        raise DataError(
            f"{run.folder} can't go on, as its images are not those that it began with: {'; '.join(told)}; "
            "bring them back, or train a run of its own with these"
            + (_if_moved(run.experiment.data.source) if found["gone"] else "")
        )


def _other_classes(now: Sequence[str], before: Sequence[str]) -> str:
    """What has become of classes."""
    told = [
        f"{some(names)} {'is' if len(names) == 1 else 'are'} {what}"
        for names, what in (
            ([name for name in before if name not in now], "gone"),
            ([name for name in now if name not in before], "new"),
        )
        if names
    ]
    if told:
        return " and ".join(told)
    first = next((old, new) for old, new in zip(before, now, strict=True) if old != new)
    return f"they are in another order, `{first[1]}` where `{first[0]}` was"


def _refuse_without(index: Index, split: str, experiment: Experiment) -> None:
    """Refuses images without a file beside them that steps read."""
    if index.path is None:
        return
    missing = [
        Problem(f"there is no {file}, which data.prepare reads for it", file=name)
        for i, name in enumerate(index.names)
        for file in files_beside(experiment.data.prepare, Path(index.path(i)))
        if not file.exists()
    ]
    if missing:
        raise DataError(
            *missing[:BAD_FILES],
            f"{counted(len(missing), 'such file')} of the {counted(len(index), f'{split} image')} "
            f"{'is' if len(missing) == 1 else 'are'} missing; put them where they were, as seen from the images",
        )


def _index_of(source: Source, progress: Progress) -> Index:
    """What a source holds now."""
    with where_they_are(source):
        return source.open(progress).index(progress)


@contextmanager
def where_they_are(source: Source) -> Iterator[None]:
    """What is wrong with a source within is told by its setting, and by what to set if the images have moved."""
    try:
        yield
    except DataError as error:
        problems = [replace(p, key=f"data.source.{p.key}" if p.key else None) for p in error.problems]
        raise DataError(*_with_hint(problems, source)) from None


@contextmanager
def perhaps_moved(source: Source) -> Iterator[None]:
    """The same of what is told by its setting already, as by a config; other problems come through as they are."""
    try:
        yield
    except (ConfigError, DataError) as error:
        if not all((problem.key or "").startswith("data.source") for problem in error.problems):
            raise
        raise type(error)(*_with_hint(error.problems, source)) from None


def _with_hint(problems: Sequence[Problem], source: Source) -> list[Problem]:
    """These, and at the end what to set if the images have moved."""
    *others, last = problems
    return [*others, replace(last, message=last.message + _if_moved(source))]


def _if_moved(source: Source) -> str:
    """What to set if the images of a source have moved; nothing for one that is not told where they are."""
    paths = [name for name in path_settings(type(source)) if getattr(source, name) is not None]
    if not paths:
        return ""
    first, *others = (f"--set data.source.{name}=..." for name in paths)
    more = f" (and {' and '.join(others)})" if others else ""
    return f"; if the images have moved, tell where they are now with {first}{more}"
