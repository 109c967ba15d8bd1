"""What is wrong between the sections of a config, though each section is right by itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

from cnnkit import consistency_preparation
from cnnkit.architectures import Architecture
from cnnkit.augmentations import AnyAugmentation, Mixing
from cnnkit.augmentations.erasing import Erasing
from cnnkit.augmentations.grayscale import RandomGrayscale
from cnnkit.augmentations.jpeg import Jpeg
from cnnkit.augmentations.noise import Noise
from cnnkit.errors import DataError, Problem
from cnnkit.experiment import Data, Train, read_names, suggested
from cnnkit.losses import BinaryCrossEntropy
from cnnkit.progress import Progress
from cnnkit.sources import Collection, Source
from cnnkit.spec import path_settings
from cnnkit.staging import BACKBONE
from cnnkit.training_metrics import MONITORS


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
    model: Architecture | None = sections.get("model")
    if model and files:
        yield from (_below("model", problem) for problem in model.absent())
    for check in _CHECKS:
        yield from check(sections, collection)


def _of_source(source: Source, problem: Problem) -> Problem:
    """A problem that a source told, with the key of its setting, or the row of a data file that it is in."""
    if problem.file:
        return replace(problem, in_data=True)
    path = getattr(source, problem.key or "", None) if problem.key in path_settings(type(source)) else None
    # Where the path leads to something, it is that which is wrong, not the setting.
    wrong = path is not None and os.path.exists(path)  # noqa: PTH110 - of any name, one too long too
    return replace(_below("data.source", problem), in_data=problem.in_data or wrong)


def _below(section: str, problem: Problem) -> Problem:
    return replace(problem, key=f"{section}.{problem.key}" if problem.key else section)


def _split_keeps_the_own_one(sections: dict[str, Any], collection: Collection | None) -> Iterator[Problem]:
    data: Data | None = sections.get("data")
    if data and collection:
        for name in sorted(collection.splits):
            if getattr(data.split, name) is not None:
                message = f"the source has a {name} split of its own, which is kept; leave this out"
                yield Problem(message, key=f"data.split.{name}")


def _split_leaves_training_images(sections: dict[str, Any], collection: Collection | None) -> Iterator[Problem]:
    data: Data | None = sections.get("data")
    if data:
        shares = data.split.shares(collection.splits if collection else frozenset())
        if sum(shares.values()) >= 1:
            told = " and ".join(f"{share:g} for {name}" for name, share in sorted(shares.items()))
            yield Problem(f"{told} leaves nothing to train on", key="data.split")


def _limit_leaves_an_image_for_each_split(sections: dict[str, Any], collection: Collection | None) -> Iterator[Problem]:
    data: Data | None = sections.get("data")
    if data and data.limit and collection:
        splits = ("train", *sorted(data.split.shares(collection.splits), reverse=True))
        if data.limit < len(splits):
            message = f"should be at least {len(splits)}, an image a class for each of {', '.join(splits)}"
            yield Problem(message, key="data.limit")


def _image_suits_the_network(sections: dict[str, Any], collection: Collection | None) -> Iterator[Problem]:
    data: Data | None = sections.get("data")
    model: Architecture | None = sections.get("model")
    shape = data.shape(suggested(model, collection)) if data else None
    if model and shape:
        for problem in model.problems(shape):
            yield _below("model", problem) if problem.key else replace(problem, key="data.image_size")


def _mixing_comes_last(sections: dict[str, Any], collection: Collection | None) -> Iterator[Problem]:
    augment: tuple[AnyAugmentation, ...] = sections.get("augment") or ()
    for i, (augmentation, following) in enumerate(pairwise(augment)):
        if isinstance(augmentation, Mixing) and not isinstance(following, Mixing):
            message = f"blends whole images of a batch, so it comes last; put {following.name} before it"
            yield Problem(message, key=f"augment.{i}")
    data: Data | None = sections.get("data")
    for i, augmentation in enumerate(augment):
        if isinstance(augmentation, Mixing) and augmentation.probability and data and data.batch_size == 1:
            message = "blends the images of a batch, and data.batch_size 1 leaves each alone; make it larger"
            yield Problem(message, key=f"augment.{i}")


def _colours_change_where_there_are_some(sections: dict[str, Any], collection: Collection | None) -> Iterator[Problem]:
    data: Data | None = sections.get("data")
    model: Architecture | None = sections.get("model")
    shape = data.shape(suggested(model, collection)) if data else None
    single = shape is not None and shape[2] == 1
    grey = "" if not single else "the images are grey"
    for step in data.prepare if data else ():
        if not grey and step.channels(3) == 1:
            grey = f"{step.name} in data.prepare leaves no colours"
    for i, augmentation in enumerate(sections.get("augment") or ()):
        if augmentation.for_colour and augmentation.probability and grey:
            yield Problem(f"{grey}, and this changes colours alone; leave it out", key=f"augment.{i}")
        if isinstance(augmentation, RandomGrayscale) and augmentation.probability == 1:
            grey = grey or f"{augmentation.name} before it leaves no colours"
        if isinstance(augmentation, _COLOURING) and not single:
            grey = ""


_COLOURING = (Noise, Jpeg, Erasing)
"""What may bring colours into grey images of three channels."""


def _augmentations_change_something(sections: dict[str, Any], collection: Collection | None) -> Iterator[Problem]:
    data: Data | None = sections.get("data")
    model: Architecture | None = sections.get("model")
    shape = data.shape(suggested(model, collection)) if data else None
    for i, augmentation in enumerate(sections.get("augment") or ()):
        why = augmentation.idle(*shape[:2]) if shape and augmentation.probability else None
        if why:
            yield Problem(why, key=f"augment.{i}.fraction")


def _balance_suits_the_network(sections: dict[str, Any], collection: Collection | None) -> Iterator[Problem]:
    data: Data | None = sections.get("data")
    model: Architecture | None = sections.get("model")
    train: Train | None = sections.get("train")
    if data and data.balance.makes_images and data.cache.memory_gib == 0:
        message = f"{data.balance.name} makes new images from those in memory, so set some, or use oversample"
        yield Problem(message, key="data.cache.memory_gib")
    if data and model and train:
        shape = data.shape(suggested(model, collection))
        frozen = all(stage.freeze == BACKBONE for stage in train.plan(model.pretrained))
        for problem in data.balance.problems(shape, frozen, augmented=bool(sections.get("augment"))):
            yield replace(problem, key="data.balance.name")


def _binary_loss_has_two_classes(sections: dict[str, Any], collection: Collection | None) -> Iterator[Problem]:
    train: Train | None = sections.get("train")
    if train and collection and isinstance(train.loss, BinaryCrossEntropy) and len(collection.classes) != 2:
        message = f"is for two classes; the data has {len(collection.classes)}: use cross_entropy"
        yield Problem(message, key="train.loss.name")


def _warmup_ends(sections: dict[str, Any], collection: Collection | None) -> Iterator[Problem]:
    train: Train | None = sections.get("train")
    shortest = min(stage.epochs for stage in train.plan(False)) if train else 0
    if train and train.schedule.warmup_epochs >= shortest:
        message = f"a warm-up of {train.schedule.warmup_epochs:g} epochs never ends in {shortest} epochs"
        yield Problem(message, key="train.schedule.warmup_epochs")


def _stages_or_epochs(sections: dict[str, Any], collection: Collection | None) -> Iterator[Problem]:
    train: Train | None = sections.get("train")
    if train and train.stages and train.epochs is not None:
        yield Problem("the stages have epochs of their own; leave this out", key="train.epochs")


def _stages_are_compared_by_what_they_share(
    sections: dict[str, Any], collection: Collection | None
) -> Iterator[Problem]:
    train: Train | None = sections.get("train")
    if train and len(train.stages or ()) > 1 and train.checkpoint.monitor == "loss":
        *others, last = (name for name in MONITORS if name != "loss")
        message = f"in each stage the loss of training has other parts; monitor {', '.join(others)} or {last}"
        yield Problem(message, key="train.checkpoint.monitor")


def _stages_are_of_the_network(sections: dict[str, Any], collection: Collection | None) -> Iterator[Problem]:
    train: Train | None = sections.get("train")
    model: Architecture | None = sections.get("model")
    for i, stage in enumerate(train.stages or () if train else ()):
        key = f"train.stages.{i}"
        if stage.freeze and stage.unfreeze_from:
            yield Problem("freeze and unfreeze_from say the same from two sides; leave one out", key=key)
        if stage.unfreeze_from == BACKBONE:
            yield Problem("trains everything, as a stage without it does; leave it out", key=f"{key}.unfreeze_from")
        if stage.freeze == BACKBONE and stage.layer_decay < 1:
            message = "decays from stage to stage of the backbone, of which nothing learns here; leave this out"
            yield Problem(message, key=f"{key}.layer_decay")
        for name in ("freeze", "unfreeze_from"):
            part = getattr(stage, name)
            if model and part and part != BACKBONE and not model.may_have(part):
                names = dict.fromkeys([*([BACKBONE] if name == "freeze" else []), *model.stages()])
                *others, last = names
                told = f"{', '.join(others)} or {last}" if others else last
                message = f"{model.title} has no stage `{part}`; it may be {told}, or a layer of these"
                yield Problem(message, key=f"{key}.{name}")


_CHECKS: tuple[Callable[[dict[str, Any], Collection | None], Iterator[Problem]], ...] = (
    _split_keeps_the_own_one,
    _split_leaves_training_images,
    _limit_leaves_an_image_for_each_split,
    _image_suits_the_network,
    *consistency_preparation.CHECKS,
    _mixing_comes_last,
    _colours_change_where_there_are_some,
    _augmentations_change_something,
    _balance_suits_the_network,
    _binary_loss_has_two_classes,
    _warmup_ends,
    _stages_or_epochs,
    _stages_are_of_the_network,
    _stages_are_compared_by_what_they_share,
)
