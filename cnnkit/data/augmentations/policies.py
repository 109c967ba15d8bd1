"""Policies: a few of many changes at random, which need no tuning.

RandAugment (Cubuk et al. 2020, arXiv:1909.13719) does some of 14 changes, all at one magnitude; TrivialAugment (Mueller
and Hutter 2021, arXiv:2103.10158) does one of them at a random magnitude, up to a larger one ("wide").
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.lazy import cv2, np
from cnnkit.data.augmentations.base import Fill, Pixelwise, Size, Strength, in_digits, moves, shears, turns
from cnnkit.data.augmentations.contrast import Contrast
from cnnkit.data.augmentations.pixel_maths import linear, through
from cnnkit.data.augmentations.saturation import Saturation
from cnnkit.data.augmentations.sharpen import RandomSharpen
from cnnkit.data.augmentations.warping import warped


def _moved(matrices: Callable[[float, Size], Any]) -> Callable[[Any, float, Fill], Any]:
    """A change of an image from a function of an amount and the size to matrices (1, 3, 3)."""
    return lambda image, amount, fill: warped(image, matrices(amount, image.shape[1::-1]), fill)


def _pixelwise(kind: Callable[[], Pixelwise]) -> Callable[[Any, float, Fill], Any]:
    """What an augmentation of a kind does to an image with an amount; it is made when it is first asked for."""
    made = functools.cache(kind)
    return lambda image, amount, fill: made()(image, (amount,))


def _autocontrast(image: Any, amount: float, fill: Fill) -> Any:
    """Each channel stretched, so that its darkest value is black and its lightest one white."""
    low, high = image.min((0, 1)).astype(float), image.max((0, 1)).astype(float)
    flat = high == low  # a channel of one value stays
    factor = np.where(flat, 1, 255 / np.where(flat, 1, high - low))
    return through(image, np.arange(256)[:, None] * factor - np.where(flat, 0, low * factor))


def _equalized(image: Any, amount: float, fill: Fill) -> Any:
    """The histogram of each channel evened out."""
    return np.stack([cv2.equalizeHist(channel).reshape(image.shape[:2]) for channel in cv2.split(image)], axis=2)


def _solarized(image: Any, amount: float, fill: Fill) -> Any:
    """Values turned to their opposite, but for the darkest: of all that are lighter than white less an amount."""
    values = np.arange(256)
    return through(image, np.where(values >= round(256 * (1 - amount)), 255 - values, values))


def _posterized(image: Any, amount: float, fill: Fill) -> Any:
    """The last bits of each value cleared; the amount is how many, rounded."""
    return through(image, np.arange(256) >> round(amount) << round(amount))


@dataclass(frozen=True)
class Operation:
    """One of the changes.

    Attributes:
        says: What is done, as a format of the amount.
        change: Of an image, uint8 (H, W, C), an amount and what comes in from outside.
        usual: Amount at magnitude 10 of RandAugment.
        wide: Largest amount of TrivialAugment.
        either_way: Whether it is done to both sides, each as likely.
    """

    says: str
    change: Callable[[Any, float, Fill], Any]
    usual: float = 0
    wide: float = 0
    either_way: bool = False


_FAR = 0.45

OPERATIONS = (
    Operation("", lambda image, amount, fill: image),
    Operation("autocontrast", _autocontrast),
    Operation("equalize", _equalized),
    Operation("rotate {:+.0f} deg", _moved(lambda by, size: turns(np.array([by]))), 30, 135, True),
    Operation("solarize {:.0%}", _solarized, 1, 1),
    Operation("saturation {:+.0%}", _pixelwise(Saturation), 0.9, 0.99, True),
    Operation("posterize by {:.0f} bits", _posterized, 4, 6),
    Operation("contrast {:+.0%}", _pixelwise(Contrast), 0.9, 0.99, True),
    Operation("brightness {:+.0%}", lambda image, amount, fill: linear(image, 1 + amount, 0), 0.9, 0.99, True),
    Operation("sharpen {:+.0%}", _pixelwise(RandomSharpen), 0.9, 0.99, True),
    # The papers slant by 0.3 and 0.99 of the height, and shift by 150 of 331 and by 32 of 224 pixels.
    Operation("shear {:+.0f} deg across", _moved(lambda by, size: shears([by], [0.0])), 16.7, 44.7, True),
    Operation("shear {:+.0f} deg down", _moved(lambda by, size: shears([0.0], [by])), 16.7, 44.7, True),
    Operation(
        "shift {:+.0%} across", _moved(lambda by, size: moves(np.array([[by, 0]]), _FAR, size)), _FAR, 0.14, True
    ),
    Operation("shift {:+.0%} down", _moved(lambda by, size: moves(np.array([[0, by]]), _FAR, size)), _FAR, 0.14, True),
)
"""Those of table 6 of RandAugment, in its order: identity, autocontrast, equalise, rotate, solarise, colour, posterise,
contrast, brightness, sharpness, shear, translate. Colour leaves a grey image alone; amounts of contrast, brightness and
the like are added to a factor of 1."""


_USUAL = [operation.usual for operation in OPERATIONS]
_WIDE = [operation.wide for operation in OPERATIONS]
_LAYERS = 5


class Policy(Pixelwise):
    """Operations drawn at random. Amounts are pairs: the number of an operation, and how much of it is done."""

    fill: Fill = "edge"
    """What comes in from outside where an image is moved: the pixels of its edge again, black, or the mirror image."""

    def description(self, amount: Any, image: Any) -> str:
        """The operations, but for those that change nothing in this image."""
        texts = []
        for operation, by in _operations(amount):
            before, image = image, operation.change(image, by, self.fill)
            if not np.array_equal(before, image):
                texts.append(in_digits(operation.says, [by]))
        return ", ".join(texts)

    def __call__(self, image: Any, amount: Any) -> Any:
        """One operation after the other."""
        for operation, by in _operations(amount):
            image = operation.change(image, by, self.fill)
        return image


class RandAugment(Policy):
    """Does some of 14 changes to each image, all at the same magnitude."""

    chances = 2 * _LAYERS

    name: Literal["rand_augment"] = "rand_augment"
    layers: Annotated[int, Field(ge=1, le=_LAYERS)] = 2
    """How many changes, one after the other; the paper's N."""
    magnitude: Annotated[float, Field(ge=0, le=10)] = 9.0
    """How strong they are, 0 to 10; the paper's M. At 0 nothing is done, not even what has no strength of its own."""

    def odd_amounts(self, given: Given) -> Iterator[Problem]:
        """Changes that nobody sees, and all at once."""
        if 0 < self.magnitude < 0.5:
            yield Problem("leaves most changes too weak to be seen; 5 to 9 is usual", key="magnitude")
        if self.layers > 3 and self.magnitude >= 9:
            message = f"{self.layers} changes at magnitude {self.magnitude:g} leave little of an image; 2 is usual"
            yield Problem(message, key="layers")

    def amounts(self, chance: Any) -> Any:
        """Operation and amount of each layer, (B, 2 * layers)."""
        chance = chance[:, : 2 * self.layers].reshape(-1, 2)
        return _drawn(chance[:, 0], chance[:, 1], self.magnitude / 10, _USUAL).reshape(-1, 2 * self.layers)


class TrivialAugment(Policy):
    """Does one of 14 changes to each image, at a random magnitude; there is nothing to tune."""

    chances = 3

    name: Literal["trivial_augment"] = "trivial_augment"
    strength: Strength = 1.0
    """Share of the paper's widest range; at 0 nothing is done, not even what has no strength of its own."""

    def odd_amounts(self, given: Given) -> Iterator[Problem]:
        """Changes that nobody sees."""
        if 0 < self.strength < 0.05:
            yield Problem("leaves most changes too weak to be seen; 1 is the paper's", key="strength")

    def amounts(self, chance: Any) -> Any:
        """Operation and amount, (B, 2)."""
        return _drawn(chance[:, 0], chance[:, 1], self.strength * chance[:, 2], _WIDE)


def _drawn(choice: Any, side: Any, share: Any, largest: list[float]) -> Any:
    """Operations, each as likely, and their amounts: float64 (B, 2).

    Args:
        choice: float64 (B,), uniform in [0, 1).
        side: float64 (B,), uniform in [0, 1).
        share: Of the largest amounts.
        largest: Amount of each operation.
    """
    numbers = (choice * len(OPERATIONS)).astype(int) * (np.asarray(share) > 0)
    signs = np.where(np.array([operation.either_way for operation in OPERATIONS])[numbers] & (side < 0.5), -1, 1)
    return np.stack([numbers, signs * share * np.array(largest)[numbers]], axis=1)


def _operations(amount: Any) -> list[tuple[Operation, float]]:
    return [(OPERATIONS[int(number)], by) for number, by in amount.reshape(-1, 2).tolist()]
