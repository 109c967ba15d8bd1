"""Experiment: the whole config file as one object, and the checks that span its sections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from cnnkit.core.spec import AUTO, Seed, Spec
from cnnkit.data.augmentations import AnyAugmentation
from cnnkit.data.feeding.preprocessing import Preprocessing
from cnnkit.data.index import Collection
from cnnkit.data.section import Data
from cnnkit.models import AnyArchitecture
from cnnkit.models.base import Architecture
from cnnkit.models.freezing import PlannedStage
from cnnkit.optimization.section import Train


class Experiment(Spec):
    """One experiment: from the images to a trained classifier."""

    name: Annotated[str, Field(pattern=r"^\w[\w .-]*$", max_length=80)]
    """What its runs are called; the name of the config file if left out there."""
    seed: Seed = 0
    """The number that all chance of the training comes from: the same gives the same run. It moves no image to another
    split, so runs with other seeds are judged on the same images; `data.split.seed` divides these otherwise."""
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
        height, width, channels = self.shape_with(collection)
        split = self.data.split.completed(collection.splits)
        update: dict[str, Any] = {"image_size": (height, width), "channels": channels, "split": split}
        data = self.data.model_copy(update=update)
        return self.model_copy(
            update={"data": data, "train": self.train.completed(self.model.pretrained, self._unchanging)}
        )

    def shape(self) -> tuple[int, int, int] | None:
        """Height, width and channels of the network's images; None if only the source can tell."""
        return self.data.shape(suggested(self.model, None))

    def shape_with(self, collection: Collection) -> tuple[int, int, int]:
        """The same, as what the source tells makes it."""
        return self.data.shape(suggested(self.model, collection)) or collection.shape

    def preprocessing(self, shape: tuple[int, int, int]) -> Preprocessing:
        """What becomes of an image before the network sees it, in training and ever after.

        Args:
            shape: Height, width and channels of the network's images.
        """
        return Preprocessing(shape, self.data.fit, self.data.prepare)

    def plan(self) -> tuple[PlannedStage, ...]:
        """The stages of the training, each with what it inherits filled in."""
        return self.train.plan(self.model.pretrained, self._unchanging, self.data.batch_size)

    def with_learning_rate(self, rate: float, stage: int | None = None) -> Experiment:
        """The same with another learning rate; a stage, from 1, that has one of its own takes this one then."""
        train, optimizer = self.train, self.train.optimizer
        if optimizer is None:
            raise ValueError("there is no optimizer")
        update: dict[str, Any] = {"optimizer": optimizer.model_copy(update={"learning_rate": rate})}
        if stage and train.stages:
            stages = list(train.stages)
            stages[stage - 1] = stages[stage - 1].model_copy(update={"learning_rate": None})
            update["stages"] = tuple(stages)
        return self.model_copy(update={"train": train.model_copy(update=update)})

    def with_usual_rate(self) -> Experiment:
        """The same where no learning rate is to be found out, else so that training has the optimizer's default."""
        optimizer = self.train.optimizer
        if optimizer is None or optimizer.learning_rate != AUTO:
            return self
        usual = type(optimizer).model_fields["learning_rate"].default
        return self.with_learning_rate(usual / self.train.rate_scale(self.data.batch_size))

    def with_rate_of(self, other: Experiment) -> Experiment:
        """The same with the learning rate of another one, which has found it, where this is still to be found out."""
        optimizer, found = self.train.optimizer, other.train.optimizer
        if optimizer is None or optimizer.learning_rate != AUTO or found is None or found.learning_rate == AUTO:
            return self
        return self.with_learning_rate(float(found.learning_rate))

    @property
    def _unchanging(self) -> bool:
        return unchanging(self.data, self.augment)


def unchanging(data: Data | None, augment: Sequence[AnyAugmentation]) -> bool:
    """Whether a frozen network makes the same of an image in every epoch, of images of the source alone."""
    return not augment and not (data and data.balance.makes_images)


def suggested(model: Architecture | None, collection: Collection | None) -> tuple[int, int, int] | None:
    """The shape of images that suits what the network has learnt, else the source."""
    learnt = model.learnt_with if model else None
    return learnt or (collection.shape if collection else None)
