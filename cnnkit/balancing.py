"""Balance: what is done where some classes have far fewer training images. The union is what `data.balance` may name.

Everything here is done to the training split alone, after the split: the images that choose and judge stay as they are.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from cnnkit.lazy import np
from cnnkit.spec import Spec


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


class Balance(Spec):
    """What is done about classes of different size."""

    @abstractmethod
    def __call__(self, training: Training, classes: int, seed: int, images: Any) -> Training:
        """Balances the images that train.

        Args:
            training: As the split made it, with the weights of the source.
            classes: How many classes there are.
            seed: The seed of the experiment.
            images: A function of no arguments, the images as numbers: uint8 (n, H, W, C), or float32 features (n, c),
                in the order of `training`. Only what makes new images calls it.

        Raises:
            DataError: It can't be done to these images, or would add nothing.
        """


class NoBalance(Balance):
    """Leaves the classes as they are."""

    name: Literal["none"] = "none"

    def __call__(self, training: Training, classes: int, seed: int, images: Any) -> Training:
        """The same."""
        return training


AnyBalance: TypeAlias = Annotated[NoBalance, Field(discriminator="name")]
