"""What is wrong between the sections of a config, or the steps of `data.prepare`, though each is right by itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

from cnnkit.config import training_checks
from cnnkit.config.context import Check, Context
from cnnkit.core.errors import DataError, Problem
from cnnkit.core.progress import Progress
from cnnkit.core.spec import path_settings
from cnnkit.data.augmentations.base import Mixing
from cnnkit.data.preparation import AnyPreparation
from cnnkit.data.preparation.base import decoded_channels
from cnnkit.data.section import Data, read_names
from cnnkit.data.sources.base import Source
from cnnkit.data.splitting import own_split
from cnnkit.optimization.section import Train


def problems(sections: dict[str, Any], files: bool = True, progress: Progress | None = None) -> Iterator[Problem]:
    """What is wrong between the sections of a config, though each section is right by itself.

    Args:
        sections: `data`, `augment`, `model` and `train`, as far as they are valid by themselves.
        files: Whether the data should be there already; a run's own config is not held to that.
        progress: Is told how far it is, where looking at the data takes long.

    Yields:
        Problems with the key of a setting, and problems with the file, and perhaps the line, of the data.
    """
    data: Data | None = sections.get("data")
    collection = None
    if data and files:
        try:
            collection = data.source.open(progress or Progress())
        except DataError as error:
            yield from (_of_source(data.source, problem) for problem in error.problems)
    if data and data.exclude and files:
        try:
            read_names(data.exclude)
        except DataError as error:
            yield from (Problem(f"{problem.file}: {problem.message}", key="data.exclude") for problem in error.problems)
    context = Context.of(sections, collection)
    if context.model and files:
        yield from (_below("model", problem) for problem in context.model.absent())
    if context.train and files:
        yield from _of_trackers(context.train)
    for check in _CHECKS:
        yield from check(context)


def _of_source(source: Source, problem: Problem) -> Problem:
    """A problem that a source told, with the key of its setting, or the row of a data file that it is in."""
    if problem.file:
        return replace(problem, in_data=True)
    path = getattr(source, problem.key or "", None) if problem.key in path_settings(type(source)) else None
    # Where the path leads to something, it is that which is wrong, not the setting.
    wrong = path is not None and os.path.exists(path)  # noqa: PTH110 - of any name, one too long too
    return replace(_below("data.source", problem), in_data=problem.in_data or wrong)


def _of_trackers(train: Train) -> Iterator[Problem]:
    """What stands in the way of recording the run elsewhere."""
    names: set[str] = set()
    for number, tracker in enumerate(train.track):
        key = f"train.track.{number}"
        if tracker.name in names:
            yield Problem(f"{tracker.name} is there already; leave one out", key=f"{key}.name")
        else:
            yield from (_below(key, problem) for problem in tracker.problems())
        names.add(tracker.name)


def _below(section: str, problem: Problem) -> Problem:
    return replace(problem, key=f"{section}.{problem.key}" if problem.key else section)


# The images


def _split_keeps_the_own_one(context: Context) -> Iterator[Problem]:
    if context.data and context.collection:
        for name in sorted(context.collection.splits):
            if getattr(context.data.split, name) is not None and not context.data.split.folds:
                message = f"the source has a {name} split of its own, which is kept; leave this out"
                yield Problem(message, key=f"data.split.{name}")


def _folds_are_whole(context: Context) -> Iterator[Problem]:
    split = context.data.split if context.data else None
    if split is None or not (split.folds or split.fold):
        return
    if split.folds is None:
        yield Problem("says which of how many folds? set data.split.folds too", key="data.split.fold")
        return
    if split.fold is None:
        which = f"a run judges on one fold: set data.split.fold, from 1 to {split.folds}, or leave folds out and"
        yield Problem(f"{which} train all of them with --folds {split.folds}", key="data.split.folds")
    elif split.fold > split.folds:
        yield Problem(f"there are {split.folds} folds, from 1 to {split.folds}", key="data.split.fold")
    if split.test is not None:
        yield Problem("the test split is one of the folds; leave this out, or set it to null", key="data.split.test")
    for name in sorted(context.collection.splits if context.collection else ()):
        yield Problem(own_split(name), key="data.split.folds")


def _split_leaves_training_images(context: Context) -> Iterator[Problem]:
    if context.data:
        shares = context.data.split.shares(context.collection.splits if context.collection else frozenset())
        if sum(shares.values()) >= 1:
            apart = " and ".join(f"{share:g} for {name}" for name, share in sorted(shares.items()))
            yield Problem(f"{apart} leaves nothing to train on", key="data.split")


def _limit_leaves_an_image_for_each_split(context: Context) -> Iterator[Problem]:
    if context.data and context.data.limit and context.collection:
        splits = ("train", *sorted(context.data.split.shares(context.collection.splits), reverse=True))
        if context.data.limit < len(splits):
            message = f"should be at least {len(splits)}, an image a class for each of {', '.join(splits)}"
            yield Problem(message, key="data.limit")
        elif context.data.limit < (context.data.split.folds or 0):
            message = f"should be at least {context.data.split.folds}, an image a class for each fold"
            yield Problem(message, key="data.limit")


def _image_suits_the_network(context: Context) -> Iterator[Problem]:
    if context.model and context.shape:
        for problem in context.model.problems(context.shape):
            yield _below("model", problem) if problem.key else replace(problem, key="data.image_size")


# The steps of data.prepare


def _ends_in_the_channels(context: Context) -> Iterator[Problem]:
    count = decoded_channels(context.steps, 1)
    for step in context.steps:
        count = step.channels(count)
    if count != 1 and context.shape and context.shape[2] == 1:
        in_other_space = any(step.leaves_space for step in context.steps)
        advice = "channel, by number" if in_other_space else "grayscale or channel"
        message = f"ends in {count} channels, and the network takes 1; add {advice}"
        yield Problem(message, key=f"data.prepare.{len(context.steps) - 1}")


def _masks_can_be_read(context: Context) -> Iterator[Problem]:
    source = context.data.source if context.data else None
    moved: str | None = None
    for i, step in enumerate(context.steps):
        if moved and step.reads_a_file:
            message = f"a mask from a file is as large as the picture in its file, so it comes before {moved}"
            yield Problem(message, key=f"data.prepare.{i}")
        if source and step.reads_a_file and not source.of_files:
            message = f"the images of {source.name} are no files, so no mask lies beside them; use method otsu"
            yield Problem(message, key=f"data.prepare.{i}")
        moved = moved or (step.name if step.moves else None)


def _colours_are_there_for_each_step(context: Context) -> Iterator[Problem]:
    grey: str | None = None
    other: AnyPreparation | None = None  # what has left other channels than red, green and blue
    for i, step in enumerate(context.steps):
        if grey and step.needs_colour:
            message = f"needs a picture in colour, and {grey} has left one channel; put it before {grey}"
            yield Problem(message, key=f"data.prepare.{i}")
        if other and other.leaves_space and step.takes_colours:
            yield _below(f"data.prepare.{i}", step.in_space(other.leaves_space, other.name))
        other = step if step.leaves_space else other
        if step.leaves_grey:
            grey, other = step.name, None


# Augmentation and balance


def _mixing_comes_last(context: Context) -> Iterator[Problem]:
    for i, (augmentation, following) in enumerate(pairwise(context.augment)):
        if isinstance(augmentation, Mixing) and not isinstance(following, Mixing):
            message = f"blends whole images of a batch, so it comes last; put {following.name} before it"
            yield Problem(message, key=f"augment.{i}")
    for i, augmentation in enumerate(context.augment):
        alone = context.data and context.data.batch_size == 1
        if isinstance(augmentation, Mixing) and augmentation.probability and alone:
            message = "blends the images of a batch, and data.batch_size 1 leaves each alone; make it larger"
            yield Problem(message, key=f"augment.{i}")


def _colours_change_where_there_are_some(context: Context) -> Iterator[Problem]:
    single = context.shape is not None and context.shape[2] == 1
    grey = "the images are grey" if single else ""
    for step in context.steps:
        if not grey and step.leaves_grey:
            grey = f"{step.name} in data.prepare leaves no colours"
    for i, augmentation in enumerate(context.augment):
        if augmentation.for_colour and augmentation.probability and grey:
            yield Problem(f"{grey}, and this changes colours alone; leave it out", key=f"augment.{i}")
        if augmentation.removes_colour and augmentation.probability == 1:
            grey = grey or f"{augmentation.name} before it leaves no colours"
        if augmentation.adds_colour and not single:
            grey = ""


def _augmentations_change_something(context: Context) -> Iterator[Problem]:
    for i, augmentation in enumerate(context.augment):
        why = augmentation.idle(*context.shape[:2]) if context.shape and augmentation.probability else None
        if why:
            yield Problem(why, key=f"augment.{i}.fraction")


def _balance_suits_the_network(context: Context) -> Iterator[Problem]:
    if not context.data:
        return
    balance = context.data.balance
    if balance.makes_images and context.data.cache.memory_gib == 0:
        message = f"{balance.name} makes new images from those in memory, so set some, or use oversample"
        yield Problem(message, key="data.cache.memory_gib")
    if context.model and context.train:
        frozen = context.train.freezes_backbone(context.model.pretrained)
        for problem in balance.problems(context.shape, frozen, augmented=bool(context.augment)):
            yield replace(problem, key="data.balance.name")


_CHECKS: tuple[Check, ...] = (
    _split_keeps_the_own_one,
    _folds_are_whole,
    _split_leaves_training_images,
    _limit_leaves_an_image_for_each_split,
    _image_suits_the_network,
    _ends_in_the_channels,
    _masks_can_be_read,
    _colours_are_there_for_each_step,
    _mixing_comes_last,
    _colours_change_where_there_are_some,
    _augmentations_change_something,
    _balance_suits_the_network,
    *training_checks.CHECKS,
)
