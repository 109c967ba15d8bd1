"""Context: the sections of a config that are right by themselves, and what follows from several of them together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

from cnnkit.config.experiment import suggested, unchanging
from cnnkit.core.errors import Problem
from cnnkit.data.augmentations import AnyAugmentation
from cnnkit.data.index import Collection
from cnnkit.data.preparation import AnyPreparation
from cnnkit.data.section import Data
from cnnkit.models.base import Architecture
from cnnkit.models.freezing import PlannedStage
from cnnkit.optimization.section import Train


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


Check: TypeAlias = Callable[[Context], Iterator[Problem]]
"""What looks for one kind of problem between sections."""
