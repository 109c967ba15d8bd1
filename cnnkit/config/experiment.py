"""Experiment: the whole config file as one object, and the checks that span its sections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from cnnkit.core.spec import Seed, Spec
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
