"""Experiment: the whole config file as one object, and the checks that span its sections."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from cnnkit import atomic
from cnnkit.architectures import AnyArchitecture, Architecture
from cnnkit.augmentations import AnyAugmentation
from cnnkit.decoding import Fit
from cnnkit.errors import DataError, Problem
from cnnkit.losses import AnyLoss, BinaryCrossEntropy, CrossEntropy
from cnnkit.optimization import Adam, AnyOptimizer, AnySchedule, Cosine
from cnnkit.progress import Progress
from cnnkit.sources import AnySource, Collection, Index, Source, ranked
from cnnkit.spec import AbsolutePath, Count, Positive, Spec, Text, path_settings
from cnnkit.splitting import Split

EPOCHS = 30
"""How long a training is if nobody says."""

BACKBONE = "backbone"
"""What `freeze` calls everything but the classifier."""

Monitor = Literal["val_loss", "val_accuracy", "loss", "accuracy"]
Size = Annotated[int, Field(ge=1, le=8192)]


class Data(Spec):
    """The images: where from, in what size, divided how."""

    source: AnySource
    """Where the images and their labels come from."""
    image_size: tuple[Size, Size] | None = None
    """Height and width that images are brought to; if left out, what suits a pretrained network, else the source."""
    channels: Literal[1, 3] | None = None
    """1 for grey, 3 for colour; if left out, what suits a pretrained network, else the source."""
    fit: Fit = "crop"
    """How an image of other proportions is brought to size: `crop` its middle, `pad` it with black, or `stretch` it."""
    split: Split = Split()
    """What is set apart to choose (validation) and to judge (test)."""
    exclude: AbsolutePath | None = None
    """A file with the name of an image to leave out on each line, as `cnnkit data --fix-list` writes it."""
    limit: Count | None = None
    """At most so many images a class, for a quick try."""
    batch_size: Count = 32
    """Images a training step; more are faster, fewer need less memory."""

    def shape(self, suggested: tuple[int, int, int] | None) -> tuple[int, int, int] | None:
        """Height, width and channels of the network's images; what is not set is as suggested; None if it can't be."""
        if suggested is None and (self.image_size is None or self.channels is None):
            return None
        height, width, channels = suggested or (0, 0, 0)
        return (*(self.image_size or (height, width)), self.channels or channels)

    def index(self, collection: Collection, seed: int, progress: Progress) -> Index:
        """Every image that is asked for, not yet decoded.

        Raises:
            DataError: The images can't be read, or `exclude` names one that is not there.
        """
        index = collection.index(progress)
        if self.exclude:
            index = index.without(read_names(self.exclude), self.exclude)
        return index.limited(self.limit, seed) if self.limit else index

    def splits(self, index: Index, seed: int) -> list[str]:
        """The split of each image.

        Raises:
            DataError: A class has too few different images to be in every split.
        """
        return self.split.assign(
            index.classes, index.labels, index.digests, index.splits, lambda digest: ranked(digest, seed, "split")
        )


class EarlyStopping(Spec):
    """Ends training when it does not get better any more."""

    monitor: Monitor = "val_loss"
    """What should get better."""
    patience: Count = 8
    """Epochs without a new best after which training ends."""
    min_delta: Annotated[float, Field(ge=0)] = 0.0
    """By how much it must get better to count."""


class Checkpoint(Spec):
    """Which epoch's weights are kept."""

    monitor: Monitor = "val_accuracy"
    """The weights of the epoch in which this is best are kept; of equal ones the first."""


class Stage(Spec):
    """A part of a training: which layers learn, for how long, how fast."""

    epochs: Count
    """How often every training image is shown in it."""
    freeze: Text | None = None
    """`backbone` (all but the classifier), or a stage or layer of the network: it and all before it do not learn."""
    unfreeze_from: Text | None = None
    """A stage or layer of the network: it and all behind it learn, all before it does not."""
    learning_rate: Positive | None = None
    """The rate of this stage; that of the optimizer if left out."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The rate of each stage of the network is this times that of the one behind it; 1 for the same everywhere."""


class Train(Spec):
    """How the network is trained."""

    epochs: Count | None = None
    """How often every training image is shown; 30 if left out. Stages have epochs of their own."""
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)] | None = None
    """Parts of the training with other layers frozen; if left out all learns, or only the classifier of a pretrained
    network. Optimizer, schedule and early stopping begin anew in each."""
    loss: AnyLoss = CrossEntropy()
    """What is made small."""
    optimizer: AnyOptimizer = Adam()
    """How the weights follow the gradient."""
    schedule: AnySchedule = Cosine()
    """How the learning rate goes over the training."""
    early_stopping: EarlyStopping | None = None
    """When to end before the last epoch; never if left out."""
    checkpoint: Checkpoint = Checkpoint()
    """Which epoch is kept, evaluated and used."""

    def plan(self, pretrained: bool) -> tuple[Stage, ...]:
        """The stages; without any in the config one, which leaves features that were learnt already as they are."""
        return self.stages or (Stage(epochs=self.epochs or EPOCHS, freeze=BACKBONE if pretrained else None),)


class Experiment(Spec):
    """One experiment: from the images to a trained classifier."""

    name: Annotated[str, Field(pattern=r"^\w[\w .-]*$", max_length=80)]
    """What its runs are called; the name of the config file if left out there."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """The number that all chance comes from; the same seed gives the same run."""
    data: Data
    """The images."""
    augment: tuple[AnyAugmentation, ...] = ()
    """Random changes of the training images, in this order."""
    model: AnyArchitecture
    """The network."""
    train: Train = Train()
    """How it is trained."""

    def completed(self, collection: Collection) -> Experiment:
        """The same experiment with what depends on the source filled in; a split of the source's own stays null."""
        height, width, channels = self.shape(collection) or collection.shape
        split = Split(**self.data.split.shares(collection.splits))
        update: dict[str, Any] = {"image_size": (height, width), "channels": channels, "split": split}
        data = self.data.model_copy(update=update)
        return self.model_copy(update={"data": data, "train": self.train.model_copy(update=self._duration())})

    def _duration(self) -> dict[str, Any]:
        """Epochs, or for a pretrained network the stage that is its default."""
        if self.train.stages:
            return {}
        plan = self.plan()
        return {"stages": plan, "epochs": None} if self.model.pretrained else {"epochs": plan[0].epochs}

    def shape(self, collection: Collection | None = None) -> tuple[int, int, int] | None:
        """Height, width and channels of the network's images; None if only the missing source could tell."""
        return self.data.shape(_suggested(self.model, collection))

    def plan(self) -> tuple[Stage, ...]:
        """The stages of the training."""
        return self.train.plan(self.model.pretrained)


def _suggested(model: Architecture | None, collection: Collection | None) -> tuple[int, int, int] | None:
    """The shape of images that suits what the network has learnt, else the source."""
    learnt = model.learnt_with if model else None
    return learnt or (collection.shape if collection else None)


def read_names(file: str) -> dict[str, int]:
    """The names in a list of images, each with its line; a line that begins with `#` is a comment.

    Raises:
        DataError: The file can't be read, or is no text.
    """
    try:
        text = Path(file).read_text(encoding="utf-8-sig", errors=atomic.ERRORS)
    except OSError as error:
        raise DataError(Problem(f"can't be read: {error.strerror}", file=file)) from None
    if "\0" in text:
        raise DataError(Problem("is no list of names, but a binary file", file=file))
    lines = enumerate((line.removesuffix("\r") for line in text.split("\n")), start=1)
    # A name that begins with `#` itself is written `./#name`; one with spaces around it keeps them.
    return {line.removeprefix("./"): i for i, line in lines if line.strip() and not line.startswith("#")}


def problems(sections: dict[str, Any], files: bool = True, progress: Progress | None = None) -> Iterator[Problem]:
    """What is wrong between the sections of a config, though each section is right by itself.

    Args:
        sections: `data`, `model` and `train`, as far as they are valid by themselves.
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
    shape = data.shape(_suggested(model, collection)) if data else None
    if model and shape:
        for problem in model.problems(shape):
            yield _below("model", problem) if problem.key else replace(problem, key="data.image_size")


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
        message = "in each stage the loss of training has other parts; monitor val_loss, val_accuracy or accuracy"
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
    _binary_loss_has_two_classes,
    _warmup_ends,
    _stages_or_epochs,
    _stages_are_of_the_network,
    _stages_are_compared_by_what_they_share,
)
