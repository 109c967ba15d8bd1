"""What is wrong between the sections of a config, or the steps of `data.prepare`, though each is right by itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Self

from cnnkit.config.experiment import suggested, unchanging
from cnnkit.core.errors import DataError, Problem
from cnnkit.core.progress import Progress
from cnnkit.core.spec import AUTO, Spec, path_settings
from cnnkit.core.text import counted, enumerated
from cnnkit.data.augmentations import AnyAugmentation
from cnnkit.data.augmentations.base import Mixing
from cnnkit.data.index import Collection
from cnnkit.data.preparation import AnyPreparation
from cnnkit.data.preparation.base import decoded_channels
from cnnkit.data.section import Data, read_names
from cnnkit.data.sources.base import Source
from cnnkit.models.base import Architecture
from cnnkit.models.freezing import BACKBONE, PlannedStage
from cnnkit.optimization.losses import FITTING
from cnnkit.optimization.section import Checkpoint, Train
from cnnkit.optimization.training_metrics import MONITORS


@dataclass(frozen=True)
class Context:
    """All that is right by itself, for the checks of how it fits together.

    Attributes:
        data: The images; None where the section is missing or wrong by itself.
        augment: The changes of training images; none likewise.
        model: The network; None likewise.
        train: How it is trained; None likewise.
        collection: What the source tells at first; None where it was not asked, or can't be opened.
        shape: Height, width and channels of the network's images; None where that is not known.
    """

    data: Data | None
    augment: tuple[AnyAugmentation, ...]
    model: Architecture | None
    train: Train | None
    collection: Collection | None
    shape: tuple[int, int, int] | None

    @classmethod
    def of(cls, sections: dict[str, Any], collection: Collection | None) -> Self:
        """That of the sections of a config which are right by themselves."""
        data, augment, model, train = (sections.get(name) for name in ("data", "augment", "model", "train"))
        shape = data.shape(suggested(model, collection)) if data else None
        return cls(data, augment or (), model, train, collection, shape)

    @property
    def unchanging(self) -> bool:
        """Whether a frozen network makes the same of an image in every epoch."""
        return unchanging(self.data, self.augment)

    @property
    def plan(self) -> tuple[PlannedStage, ...]:
        """The stages of the training; none where the section of it is missing or wrong by itself."""
        if not self.train:
            return ()
        return self.train.plan(bool(self.model and self.model.pretrained), self.unchanging)

    @property
    def steps(self) -> tuple[AnyPreparation, ...]:
        """What is done to every image before it is brought to size."""
        return self.data.prepare if self.data else ()


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
            if getattr(context.data.split, name) is not None:
                message = f"the source has a {name} split of its own, which is kept; leave this out"
                yield Problem(message, key=f"data.split.{name}")


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


# The training


def _binary_loss_has_two_classes(context: Context) -> Iterator[Problem]:
    if context.train and context.collection:
        classes = len(context.collection.classes)
        if context.train.loss.two_classes and classes != 2:
            yield Problem(f"is for two classes; the data has {classes}: use cross_entropy", key="train.loss.name")


def _warmup_ends(context: Context) -> Iterator[Problem]:
    if context.train and context.train.schedule:
        warmup = context.train.schedule.warmup_epochs
        shortest = min((stage.epochs for stage in context.plan if stage.epochs), default=None)
        if shortest and warmup >= shortest:
            length = f"{warmup:g} epoch" if warmup == 1 else f"{warmup:g} epochs"
            message = f"a warm-up of {length} never ends in {counted(shortest, 'epoch')}"
            yield Problem(message, key="train.schedule.warmup_epochs")


def _stages_or_epochs(context: Context) -> Iterator[Problem]:
    if context.train and context.train.stages and context.train.epochs is not None:
        yield Problem("the stages have epochs of their own; leave this out", key="train.epochs")


_BY_STEPS = "to train it by steps name an optimizer, such as train.optimizer: {name: adam, learning_rate: 3e-3}"


def _stages_have_epochs_or_are_fitted(context: Context) -> Iterator[Problem]:
    train = context.train
    for i, stage in enumerate(train.stages or () if train else ()):
        key = f"train.stages.{i}"
        if stage.epochs is None and not stage.freezes_backbone:
            yield Problem("needs epochs; only a classifier is fitted without them, with freeze: backbone", key=key)
        elif stage.epochs is None and not context.unchanging:
            why = "augmented" if context.augment else f"made by {context.data.balance.name}" if context.data else ""
            message = f"needs epochs: a classifier is fitted on features that never change, and images are {why}"
            yield Problem(message, key=key)
        elif train and stage.freezes_backbone and stage.epochs and context.unchanging and train.optimizer is None:
            yield Problem(
                f"a classifier is fitted, without epochs; leave this out, or {_BY_STEPS}", key=f"{key}.epochs"
            )
        for name, value in (("learning_rate", stage.learning_rate), ("batch_norm", stage.batch_norm)):
            if value is not None and stage.fitted:
                message = "a fitted classifier takes no steps; leave this out, or give the stage epochs"
                yield Problem(message, key=f"{key}.{name}")
            elif name == "batch_norm" and value is not None and stage.freezes_backbone:
                yield Problem("is for what learns of the backbone, which is nothing here", key=f"{key}.{name}")


def _fitting_takes_no_settings_of_steps(context: Context) -> Iterator[Problem]:
    train, model = context.train, context.model
    if not train or not model:
        return
    if train.epochs and not train.stages and model.pretrained and context.unchanging and train.optimizer is None:
        yield Problem(f"a classifier is fitted, without epochs; leave this out, or {_BY_STEPS}", key="train.epochs")
    # Also those that would be, but for epochs that are told to be left out: all is told at once.
    by_default = context.unchanging and train.optimizer is None
    fitted = [stage.fitted or (stage.freezes_backbone and by_default) for stage in context.plan]
    if not any(fitted):
        return
    unfit = {}
    if train.loss.label_smoothing:
        unfit["train.loss.label_smoothing"] = "a fitted classifier is the optimum of the loss without smoothing"
    if train.loss.name not in FITTING:
        unfit["train.loss.name"] = f"a classifier is fitted by {enumerated(FITTING, 'or')}"
    if model.l2:
        unfit["model.l2"] = "the penalty on the kernel of a fitted classifier is chosen by folds"
    if all(fitted):
        none = "a classifier is fitted, without steps and epochs"
        by_steps = (
            *("schedule", "clip", "ema", "sam", "gradient_accumulation", "scale_learning_rate_with_batch"),
            *("early_stopping", "optimizer"),
        )
        unfit |= {f"train.{name}": none for name in by_steps if getattr(train, name) != _default(train, name)}
        for setting, usual in Checkpoint():
            if getattr(train.checkpoint, setting) not in (usual, None):
                unfit[f"train.checkpoint.{setting}"] = none
        unfit |= {"train.jit": none} if train.jit != AUTO else {}
        unfit |= {"train.steps_per_execution": none} if train.steps_per_execution != AUTO else {}
        unfit |= {"train.devices": f"{none}, on one device"} if train.several_devices else {}
        if (dropout := getattr(model, "dropout", None)) and dropout == model.classifier_dropout:
            unfit["model.dropout"] = "nothing is dropped where a classifier is fitted"
    for key, why in unfit.items():
        advice = "give the stage epochs" if key == "train.optimizer" else _BY_STEPS
        yield Problem(f"{why}; leave this out, or {advice}", key=key)


def _default(section: Spec, name: str) -> Any:
    return type(section).model_fields[name].default


def _a_rate_that_is_found_is_used(context: Context) -> Iterator[Problem]:
    optimizer = context.train.optimizer if context.train else None
    rates = [stage.learning_rate for stage in context.plan if not stage.fitted]
    if optimizer and optimizer.learning_rate == AUTO and rates and AUTO not in rates:
        message = "every stage has a rate of its own, so none is looked for; leave one of theirs out, or this"
        yield Problem(message, key="train.optimizer.learning_rate")


def _devices_share_the_steps(context: Context) -> Iterator[Problem]:
    train = context.train
    if not train or not train.several_devices:
        return
    if train.jit is True:
        message = "XLA does not compile steps that several devices share; leave this out, or set train.devices to auto"
        yield Problem(message, key="train.jit")
    if context.data and train.devices != "all" and context.data.batch_size < int(train.devices):
        images = counted(context.data.batch_size, "image")
        message = f"{train.devices} devices divide a batch, and data.batch_size gives them {images}; make it larger"
        yield Problem(message, key="train.devices")


def _precision_reaches_the_network(context: Context) -> Iterator[Problem]:
    if context.train and context.model and context.model.in_float32 and context.train.precision != "float32":
        message = "a SavedModel computes as it was saved for, in float32; leave this out"
        yield Problem(message, key="train.precision")


def _stages_are_compared_by_what_they_share(context: Context) -> Iterator[Problem]:
    train = context.train
    if train and len(train.stages or ()) > 1 and train.checkpoint.monitor == "loss":
        others = enumerated((name for name in MONITORS if name != "loss"), "or")
        message = f"in each stage the loss of training has other parts; monitor {others}"
        yield Problem(message, key="train.checkpoint.monitor")


def _stages_are_of_the_network(context: Context) -> Iterator[Problem]:
    model = context.model
    for i, stage in enumerate(context.train.stages or () if context.train else ()):
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
                may_be = enumerated(names, "or")
                message = f"{model.title} has no stage `{part}`; it may be {may_be}, or a layer of these"
                yield Problem(message, key=f"{key}.{name}")


_CHECKS: tuple[Callable[[Context], Iterator[Problem]], ...] = (
    _split_keeps_the_own_one,
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
    _binary_loss_has_two_classes,
    _warmup_ends,
    _stages_or_epochs,
    _stages_are_of_the_network,
    _stages_have_epochs_or_are_fitted,
    _fitting_takes_no_settings_of_steps,
    _a_rate_that_is_found_is_used,
    _devices_share_the_steps,
    _precision_reaches_the_network,
    _stages_are_compared_by_what_they_share,
)
