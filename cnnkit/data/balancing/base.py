"""Balance: what is done where some classes have far fewer training images than others.

All of it is done to the training split alone, after the split: the images that choose and judge stay as they are.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field

from cnnkit.core import randomness
from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.lazy import np
from cnnkit.core.spec import Spec
from cnnkit.data.index import Index

EVEN = 1.1
"""Classes are even where the largest has less than so many times the images of the smallest."""

Ratio = Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True)
class Training:
    """The images that train, in the form that an epoch goes through.

    Attributes:
        numbers: int64 (n,), which images; one may be there several times. Those from the number of images of the source
            on are synthetic: rows of `synthetic`.
        labels: int64 (n,).
        weights: float64 (n,), what each counts for, 1 in the mean.
        synthetic: New images, uint8 or float32 (k, ...) in the form of the source's; None if there are none.
    """

    numbers: Any
    labels: Any
    weights: Any
    synthetic: Any = None

    def __len__(self) -> int:
        return len(self.numbers)

    def counts(self, classes: int) -> Any:
        """Images of each class, int64 (classes,)."""
        return np.bincount(self.labels, minlength=classes)

    def shuffled(self, label: int, purpose: Sequence[int]) -> Any:
        """Places of the images of a class, int64, in a random order that follows from their numbers and a purpose."""
        places = np.flatnonzero(self.labels == label)
        return places[np.argsort(randomness.uniform(purpose, self.numbers[places], 1)[:, 0], kind="stable")]

    def chosen(self, places: Any) -> Self:
        """The images at these places, int64 (m,), each as often as it is named; what they count for is 1 in the mean.

        An epoch so counts for as much as it has images, whichever were chosen.
        """
        weights = one_in_the_mean(self.weights[places])
        return replace(self, numbers=self.numbers[places], labels=self.labels[places], weights=weights)


@dataclass(frozen=True)
class Pool:
    """What the images that train are taken from.

    Attributes:
        classes: Names of the classes.
        size: How many images the source has; the first new image gets this number.
        rows: The images that train, in their order, as numbers: uint8 (n, H, W, C), or float32 features (n, c). Only
            what makes new images calls it.
    """

    classes: Sequence[str]
    size: int
    rows: Callable[[], Any]


class Balance(Spec):
    """What is done about classes of different size."""

    name: str

    changes_nothing: ClassVar[bool] = False
    """Whether nothing is done."""
    makes_images: ClassVar[bool] = False
    """Whether it makes images that the source does not have."""

    def careful(self, given: Given) -> Iterator[Problem]:
        """What is done about classes that are even."""
        if not self.changes_nothing and given.imbalance and given.imbalance < EVEN:
            least, most = min(given.training), max(given.training)
            images = f"{least:,} to {most:,}" if least < most else f"{least:,}"
            yield Problem(f"each class has {images} training images, which are even: leave this out", key="name")

    @abstractmethod
    def __call__(self, training: Training, pool: Pool, seed: int) -> Training:
        """Balances the images that train.

        Args:
            training: As the split made it, with the weights of the source.
            pool: What they are taken from.
            seed: The seed of the experiment.

        Raises:
            DataError: It can't be done to these images, or is asked to make images where none are lacking.
        """

    def check(self, counts: Any, classes: Sequence[str]) -> None:
        """Tells what is in its way as far as the number of images tells.

        Args:
            counts: int64 (K,), training images of each class.
            classes: Names of the classes.

        Raises:
            DataError: It can't be done, or would make no image.
        """
        return

    def memory(self, counts: Any, values: int, bytes_each: int) -> int:
        """Bytes that it takes at most, while it is done, besides the images themselves; 0 where it makes none.

        Args:
            counts: int64 (K,), training images of each class.
            values: Numbers an image, or features.
            bytes_each: Bytes of each of them.
        """
        return 0

    def on_features(self, shape: tuple[int, ...]) -> bool:
        """Whether it is not done to images of this height and width, but to their features."""
        return False

    def problems(self, shape: tuple[int, int, int] | None, frozen: bool, augmented: bool) -> Iterator[Problem]:
        """What is in its way in other sections of the config, each without a key, for `data.balance` is meant.

        Args:
            shape: Height, width and channels of the network's images; None if that is not known.
            frozen: Whether the backbone is frozen in all of the training.
            augmented: Whether the training images are augmented.
        """
        return iter(())


def training_of(index: Index, numbers: Sequence[int]) -> Training:
    """The images of an index that train, each once, with the weights of the source.

    Weights are 1 in the mean of those that train: so they never change the step as a whole.
    """
    chosen = np.asarray(numbers, np.int64)
    weights = np.ones(len(chosen)) if index.weights is None else np.float64(index.weights[chosen])
    return Training(chosen, np.asarray(index.labels)[chosen], one_in_the_mean(weights))


def one_in_the_mean(weights: Any) -> Any:
    """The same proportions, float64 (n,), 1 in the mean."""
    return weights / np.mean(weights)
