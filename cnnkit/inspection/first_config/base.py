"""What is known of some images, and what is suggested for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

SEED = 0
"""The seed that the suggested config has, and by which its images are divided for the numbers that are shown."""


@dataclass(frozen=True)
class Traits:
    """What a first look at images tells.

    Attributes:
        classes: How many images each class has.
        splits: How many images each split has.
        own: The splits that the source itself sets apart.
        height: Median, as the pictures are seen upright.
        width: Median.
        same_size: Whether all are of one size.
        proportions: Width by height: of the twentieth part that is narrowest the widest, the median, and of the
            twentieth part that is widest the narrowest.
        grey: Share of the pictures without colour, of those that were decoded.
        looked_at: How many were decoded.
        decoding: Seconds that it takes to decode one.
        bad: Names of files that can't be read as images, with the reason.
    """

    classes: Mapping[str, int]
    splits: Mapping[str, int]
    own: frozenset[str]
    height: int
    width: int
    same_size: bool = True
    proportions: tuple[float, float, float] = (1.0, 1.0, 1.0)
    grey: float = 0.0
    looked_at: int = 50
    decoding: float = 0.001
    bad: Mapping[str, str] | None = None

    @property
    def images(self) -> int:
        """How many there are."""
        return sum(self.classes.values())

    @property
    def smallest(self) -> tuple[str, int]:
        """The class with the fewest images, and how many these are."""
        return min(self.classes.items(), key=lambda entry: entry[1])

    @property
    def largest(self) -> tuple[str, int]:
        """The class with the most images, and how many these are."""
        return max(self.classes.items(), key=lambda entry: entry[1])

    @property
    def training(self) -> int:
        """How many of them train."""
        return self.splits["train"]


@dataclass(frozen=True)
class Choice:
    """A setting and why it is so; without a key only a remark.

    Attributes:
        key: The last part of its name.
        value: As the config holds it.
        reason: In a sentence or two.
        entries: Where the value is a list, a word on each entry.
    """

    key: str | None
    value: Any
    reason: str
    entries: tuple[str, ...] = ()

    @classmethod
    def remark(cls, reason: str) -> Self:
        """What is said where nothing is set."""
        return cls(None, None, reason)


@dataclass(frozen=True)
class Suggestion:
    """A config for some images, each setting with its reason, and how long it will take.

    Attributes:
        data: The choices below `data`, without the source.
        augment: The one for `augment`.
        model: Those below `model`, in the words of a `sequential` network.
        train: Those below `train`.
        macs: Multiply-adds of the network for an image.
    """

    data: tuple[Choice, ...]
    augment: Choice
    model: tuple[Choice, ...]
    train: tuple[Choice, ...]
    macs: int

    def values(self) -> dict[str, Any]:
        """The suggested part of the config, without its name and its source."""
        sections = {"data": self.data, "augment": (), "model": self.model, "train": self.train}
        values = {name: {c.key: c.value for c in choices if c.key} for name, choices in sections.items()}
        return values | {"augment": self.augment.value}
