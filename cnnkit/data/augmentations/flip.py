"""Mirror images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, Self

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.lazy import np
from cnnkit.core.spec import Probability
from cnnkit.data.augmentations.base import Geometric, Size, scales


class Flip(Geometric):
    """Mirrors the image. Not for what has a left and a right, such as digits and letters."""

    chances = 2

    name: Literal["flip"] = "flip"
    direction: Literal["horizontal", "vertical", "both"] = "horizontal"
    """Left with right, top with bottom, or each of them by its own chance."""
    probability: Probability = 0.5
    """Chance of each mirroring."""

    def odd_amounts(self, given: Given) -> Iterator[Problem]:
        """Characters, which have a left and a right, and a top and a bottom."""
        if given.of_characters:
            some = " and ".join(given.classes[-2:])
            yield Problem(f"mirrors characters, such as {some}, which makes them others; leave it out", key="name")

    def amounts(self, chance: Any) -> Any:
        """Whether it is mirrored left with right, and top with bottom: 0 or 1."""
        asked = [self.direction != "vertical", self.direction != "horizontal"]
        return ((chance < self.probability) & asked).astype(float)

    def hits(self, chance: Any) -> Any:
        """All: each direction has its chance in `amounts`."""
        return np.ones(len(chance), bool)

    def certain(self) -> Self:
        """Every image mirrored; of both directions each every other time, as always both would be a half turn."""
        return self.model_copy(update={"probability": 0.5 if self.direction == "both" else 1.0})

    def description(self, amount: Any, image: Any) -> str:
        """The directions in which it is mirrored."""
        ways = ("left-right", "top-bottom")
        return " and ".join(f"flip {way}" for way, done in zip(ways, amount, strict=True) if done)

    def matrices(self, amounts: Any, size: Size) -> Any:
        """Turns the sign of x, of y, or of both."""
        return scales(1 - 2 * amounts)
