"""What is known of some images, and what is suggested for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from cnnkit.inspection.detail import is_enlarged
from cnnkit.inspection.doctor.base import Finding
from cnnkit.models.backbones import Backbone

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
        detail: The real detail that they have in the median, in pixels of the shorter side; None if it is not known.
        bad: Names of files that can't be read as images, with the reason.
        findings: What the doctor finds in the names: masks, and groups that are torn.
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
    detail: int | None = None
    bad: Mapping[str, str] | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def images(self) -> int:
        """How many there are."""
        return sum(self.classes.values())

    @property
    def side(self) -> int:
        """The shorter side of the median picture, in pixels."""
        return min(self.height, self.width)

    @property
    def shown(self) -> int:
        """How many pixels of the shorter side show something: its detail, where that is known."""
        return self.side if self.detail is None else min(self.detail, self.side)

    @property
    def enlarged(self) -> bool:
        """Whether half of the pixels of a side, or more, show nothing of their own."""
        return is_enlarged(self.shown, self.side)

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


Kind = Literal["pretrained", "from scratch"]


@dataclass(frozen=True)
class Suggestion:
    """A config for some images, each setting with its reason.

    Attributes:
        kind: What its network begins with.
        title: What to call it in a sentence: `a small network, 30 epochs`.
        data: The choices below `data`, without the source.
        augment: The one for `augment`.
        model: Those below `model`.
        train: Those below `train`.
        work: Multiply-adds of an image: those of the network, or for a backbone what it costs as much as.
        backbone: What it begins with, where that is something.
    """

    kind: Kind
    title: str
    data: tuple[Choice, ...]
    augment: Choice
    model: tuple[Choice, ...]
    train: tuple[Choice, ...]
    work: float
    backbone: Backbone | None = None

    def values(self) -> dict[str, Any]:
        """The suggested part of the config, without its name and its source; no section is empty."""
        sections = {"data": self.data, "augment": (), "model": self.model, "train": self.train}
        values = {name: {c.key: c.value for c in choices if c.key} for name, choices in sections.items()}
        values |= {"augment": self.augment.value}
        return {name: value for name, value in values.items() if value or name == "augment"}

    @property
    def epochs(self) -> int:
        """How many train the network; 0 where only a classifier is fitted."""
        train = self.values().get("train", {})
        return int(train.get("epochs", 0) + sum(stage.get("epochs", 0) for stage in train.get("stages", ())))


@dataclass(frozen=True)
class Decision:
    """Which of the suggestions is taken, and why.

    Attributes:
        chosen: That one.
        why: In a sentence or two.
        other: The one that was not taken, if there is one.
        why_not: What speaks against it: its figure in the trial, or the rule.
        seconds: How long a training of the chosen one will take.
        basis: What that is told by.
        notes: What else should be known, in a line each.
    """

    chosen: Suggestion
    why: str
    other: Suggestion | None
    why_not: str
    seconds: float
    basis: str
    notes: tuple[str, ...] = ()
