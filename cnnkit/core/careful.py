"""What rules of caution may ask: a config can be right and still hardly be meant so.

Such a rule stands in the class that it is about, as `careful`; `cnnkit.config.careful` asks all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Given:
    """What is known beside the section that a rule stands in.

    Attributes:
        shape: Height, width and channels of the network's images.
        classes: Names of the classes.
        counts: Images of each class by split (`train`, `validation`, `test`); None where that takes long to find out.
        pictures: Height and width of the pictures as they are; None where that is not known.
        pretrained: Whether the features of the network were learnt already.
        by_steps: Whether anything is trained by steps, a batch each; a classifier that is fitted alone is not.
        rate_scale: What training multiplies learning rates by.
    """

    shape: tuple[int, int, int]
    classes: Sequence[str] = ()
    counts: Mapping[str, Sequence[int]] | None = None
    pictures: tuple[int, int] | None = None
    pretrained: bool = False
    by_steps: bool = True
    rate_scale: float = 1.0

    @property
    def of_characters(self) -> bool:
        """Whether the classes are digits or letters, by their names."""
        return bool(self.classes) and all(len(name) == 1 and name.isalnum() for name in self.classes)

    @property
    def side(self) -> int:
        """The longer side of the network's images, pixels."""
        return max(self.shape[:2])

    def images(self, split: str) -> int | None:
        """How many images a split has; None where that is not known."""
        return None if self.counts is None else sum(self.counts.get(split, ()))

    @property
    def training(self) -> list[int]:
        """Training images of each class that has any; empty where that is not known."""
        return [count for count in (self.counts or {}).get("train", ()) if count]

    @property
    def imbalance(self) -> float | None:
        """How many times as many training images the largest class has as the smallest; None if not known."""
        return max(self.training) / min(self.training) if self.training else None
