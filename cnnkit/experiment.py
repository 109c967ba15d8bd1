"""Experiment: the whole config file as one object, and the checks that span its sections."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from cnnkit import atomic
from cnnkit.architectures import AnyArchitecture, Architecture
from cnnkit.augmentations import AnyAugmentation
from cnnkit.balancing import AnyBalance, NoBalance
from cnnkit.decoding import Fit
from cnnkit.errors import DataError, Problem
from cnnkit.losses import AnyLoss, CrossEntropy
from cnnkit.optimization import Adam, AnyOptimizer
from cnnkit.preparation import AnyPreparation, files_beside
from cnnkit.progress import Progress
from cnnkit.schedules import AnySchedule, Cosine
from cnnkit.sources import AnySource, Collection, Index, Unused, ranked
from cnnkit.spec import AbsolutePath, Count, NotNegative, Spec
from cnnkit.splitting import Split
from cnnkit.staging import BACKBONE, Stage
from cnnkit.training_metrics import Monitor
from cnnkit.view import Preprocessing

EPOCHS = 30
"""How long a training is if nobody says."""

Size = Annotated[int, Field(ge=1, le=8192)]


class Cache(Spec):
    """Where decoded and prepared images are kept; it changes how long a run takes and nothing else.

    In memory where that is enough for all, else on the disk, else they are decoded again for each batch. Those that
    `prepare` has made are on the disk beside the memory too, so that the next run finds them.
    """

    memory_gib: Annotated[float, Field(ge=0)] = 4.0
    """Memory they may take, in GiB; 0 for none."""
    disk_gib: Annotated[float, Field(ge=0)] = 20.0
    """Room on the disk that they and those of other runs may take together, in GiB; 0 for none."""


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
    prepare: tuple[AnyPreparation, ...] = ()
    """What is done to every picture before it is brought to size, in this order, in training and ever after."""
    split: Split = Split()
    """What is set apart to choose (validation) and to judge (test)."""
    exclude: AbsolutePath | None = None
    """A file with the name of an image to leave out on each line, as `cnnkit data --fix-list` writes it."""
    limit: Count | None = None
    """At most so many images a class, for a quick try."""
    balance: AnyBalance = NoBalance()
    """What is done about classes with far fewer training images than others."""
    batch_size: Count = 32
    """Images a training step; more are faster, fewer need less memory."""
    cache: Cache = Cache()
    """Where decoded images are kept."""

    def shape(self, suggested: tuple[int, int, int] | None) -> tuple[int, int, int] | None:
        """Height, width and channels of the network's images; what is not set is as suggested; None if it can't be."""
        if suggested is None and (self.image_size is None or self.channels is None):
            return None
        height, width, channels = suggested or (0, 0, 0)
        return (*(self.image_size or (height, width)), self.channels or channels)

    def index(self, collection: Collection, seed: int, progress: Progress) -> Index:
        """Every image that is asked for, not yet decoded; the masks of images are none.

        Raises:
            DataError: The images can't be read, or `exclude` names one that is not there.
        """
        index = collection.index(progress)
        masks = self._masks(index)
        if self.exclude:
            index = index.without(read_names(self.exclude), self.exclude)
        if masks:
            unused = [Unused(name, "a mask that data.prepare reads") for name in index.names if name in masks]
            index = index.take([i for i, name in enumerate(index.names) if name not in masks], unused)
        return index.limited(self.limit, seed) if self.limit else index

    def _masks(self, index: Index) -> frozenset[str]:
        """Names of the images that are the mask of another one."""
        if index.path is None or not any(step.reads_a_file for step in self.prepare):
            return frozenset()
        paths = [os.path.normpath(index.path(i)) for i in range(len(index))]
        of_others = set()
        for path in paths:
            of_others |= {os.path.normpath(file) for file in files_beside(self.prepare, Path(path))} - {path}
        return frozenset(name for name, path in zip(index.names, paths, strict=True) if path in of_others)

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
    min_delta: NotNegative = 0.0
    """By how much it must get better to count."""


class Checkpoint(Spec):
    """Which epoch's weights are kept."""

    monitor: Monitor = "val_accuracy"
    """The weights of the epoch in which this is best are kept; of equal ones the first."""


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

    def completed(self, pretrained: bool) -> Train:
        """The same with its epochs filled in, or for a pretrained network with the stage that is its default."""
        if self.stages:
            return self
        [stage] = stages = self._stages(pretrained)
        return self.model_copy(update={"stages": stages, "epochs": None} if pretrained else {"epochs": stage.epochs})

    def plan(self, pretrained: bool) -> tuple[Stage, ...]:
        """The stages of the training, each with what it inherits filled in."""
        return tuple(stage.inheriting(self.optimizer.learning_rate) for stage in self._stages(pretrained))

    def _stages(self, pretrained: bool) -> tuple[Stage, ...]:
        """Those of the config; else one, which leaves features that were learnt already as they are."""
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
        return self.model_copy(update={"data": data, "train": self.train.completed(self.model.pretrained)})

    def shape(self, collection: Collection | None = None) -> tuple[int, int, int] | None:
        """Height, width and channels of the network's images; None if only the missing source could tell."""
        return self.data.shape(suggested(self.model, collection))

    def preprocessing(self, shape: tuple[int, int, int]) -> Preprocessing:
        """What becomes of an image before the network sees it, in training and ever after.

        Args:
            shape: Height, width and channels of the network's images.
        """
        return Preprocessing(shape, self.data.fit, self.data.prepare)

    def plan(self) -> tuple[Stage, ...]:
        """The stages of the training, each with what it inherits filled in."""
        return self.train.plan(self.model.pretrained)


def suggested(model: Architecture | None, collection: Collection | None) -> tuple[int, int, int] | None:
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
