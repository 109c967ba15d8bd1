"""Augmentation: the same picture as it might have been taken, for training only.

There are three kinds: `Geometric` ones tell where each pixel comes from, so that several in a row become one warp,
`Pixelwise` ones change the pixels of an image, and a `Mixing` blends the images of a batch with each other. What they
share: chance is given to them as uniform numbers, so that they are functions, and `amounts` turns these into what is
done, in units people think in. An amount is what the preview tells, too.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import Field

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.lazy import np
from cnnkit.core.spec import Probability, Spec
from cnnkit.core.text import by, percent

Fill = Literal["edge", "black", "reflect"]
"""What comes in from outside of the picture: the pixels of its edge again, black, or its mirror image."""

Size: TypeAlias = tuple[int, int]
"""Width and height of images, pixels."""

Strength = Annotated[float, Field(ge=0, le=1)]

RARE = 0.01
"""A probability below which an augmentation is hardly ever done."""

SEEN = 0.5
"""A move by less, in pixels, is not seen."""

FAR = 0.4
"""From this fraction of an image on that it is moved, what it shows may be gone."""


class Augmentation(Spec):
    """A random change of a training image that leaves its label true."""

    chances: ClassVar[int] = 1
    """How many uniform numbers `amounts` takes an image."""
    says: ClassVar[str]
    """What is done to an image, as a format of its amounts: `rotate {0:+.0f} deg`."""
    neutral: ClassVar[float] = 0.0
    """The amount that changes nothing."""
    for_colour: ClassVar[bool] = False
    """Whether it changes nothing in a grey image."""
    adds_colour: ClassVar[bool] = False
    """Whether it may make the three channels of a grey image differ."""
    removes_colour: ClassVar[bool] = False
    """Whether it leaves an image that it changes without colours."""

    probability: Probability = 1.0
    """Chance that an image is changed at all."""

    def careful(self, given: Given) -> Iterator[Problem]:
        """A change that is hardly ever done, and amounts that change nothing or leave nothing."""
        if 0 < self.probability < RARE:
            message = f"changes one image in {1 / self.probability:,.0f}; 0.1 to 1 are usual, 0 leaves it out"
            yield Problem(message, key="probability")
        if self.probability:
            yield from self.odd_amounts(given)

    def odd_amounts(self, given: Given) -> Iterator[Problem]:
        """Amounts so small that nothing is seen of them, or so large that nothing is left to see; 0 is meant so."""
        return iter(())

    def amounts(self, chance: Any) -> Any:
        """What is done to each image; if a class says nothing else, the first of `strengths` at most, either way.

        Args:
            chance: float64 (B, chances), uniform in [0, 1).

        Returns:
            float64 (B, k), in people's units.
        """
        return either_way(chance, getattr(self, self.strengths[0]))

    def hits(self, chance: Any) -> Any:
        """Which images are changed at all: bool (B,) from uniform numbers (B,)."""
        return chance < self.probability

    def effect(self, amount: Any, image: Any) -> Any:
        """What of an amount comes to pass in an image, of whole pixels and the like: what `says` is a format of.

        Args:
            amount: float64 (k,), a row of `amounts`.
            image: uint8 (H, W, C), what it is done to.
        """
        return amount

    def description(self, amount: Any, image: Any) -> str:
        """What is done to one image, in words; nothing in no words. Takes what `effect` takes."""
        effect = self.effect(amount, image)
        return in_digits(self.says, effect) if len(effect) == 0 or (effect != self.neutral).any() else ""

    def idle(self, height: int, width: int) -> str | None:
        """Why it can never change an image of this size, and what to write instead; None if it can.

        A strength or a probability of 0 says by itself that nothing is asked for.
        """
        return None

    @property
    def strengths(self) -> list[str]:
        """Names of the settings that are 0 where nothing is changed: all that may be 0, but for the probability."""
        fields = type(self).model_fields.items()
        least = {name: [getattr(limit, "ge", None) for limit in field.metadata] for name, field in fields}
        return [name for name, limits in least.items() if 0 in limits and name != "probability"]

    def certain(self) -> Self:
        """The same, done to every image."""
        return self.model_copy(update={"probability": 1.0})

    def weaker(self, share: float) -> Self | None:
        """The same at a share of its strength; None if it has no strength, as a flip is a flip."""
        if not self.strengths:
            return None
        return self.model_copy(update={name: getattr(self, name) * share for name in self.strengths})


class Geometric(Augmentation):
    """Moves the pixels of an image. Those in a row are fused: the image is resampled once."""

    @property
    def outside(self) -> Fill | None:
        """What comes in from outside; None for a change that needs nothing from there."""
        return None

    @abstractmethod
    def matrices(self, amounts: Any, size: Size) -> Any:
        """Where each pixel comes from.

        Args:
            amounts: float64 (B, k), from `amounts`.
            size: Of the images.

        Returns:
            float64 (B, 3, 3): from homogeneous (x, y, 1) of a pixel of the result to that of the original, counted from
            the middle of the image.
        """


class Filling(Geometric):
    """Moves the pixels of an image so that some come from outside of it."""

    fill: Fill = "edge"
    """What comes in from outside: the pixels of the edge again, black, or the mirror image."""

    @property
    def outside(self) -> Fill:
        """What `fill` says."""
        return self.fill

    def unseen(self, pixels: float, setting: str, usual: str, given: Given) -> Iterator[Problem]:
        """That a setting moves nothing by as much as could be seen, where that is so.

        Args:
            pixels: How far its largest amount moves a pixel at the edge of the image.
            setting: Its name.
            usual: What others set.
            given: What is known of the images.
        """
        if 0 < pixels < SEEN:
            size = by(given.shape[:2])
            message = f"{getattr(self, setting):g} moves no pixel of {size} by more than {pixels:.2g}; {usual} is usual"
            yield Problem(message, key=setting)


class Moving(Filling):
    """Moves the whole image by whole pixels, up to a fraction of its size."""

    fraction: float

    def odd_amounts(self, given: Given) -> Iterator[Problem]:
        """A move that leaves little of the picture; one of less than a pixel is an error, told by `idle`."""
        yield from moved_far(self.fraction, "fraction")

    def idle(self, height: int, width: int) -> str | None:
        """Where the farthest move is less than half a pixel."""
        if not self.fraction or round(self.fraction * max(height, width)):
            return None
        least = math.ceil(1000 / max(height, width)) / 1000
        return (
            f"{self.fraction:g} of {height} x {width} pixels is less than half a pixel, and images move by whole ones; "
            f"{least:g} is a pixel"
        )

    def effect(self, amount: Any, image: Any) -> Any:
        """The distances, of whole pixels again."""
        return as_moved(amount, self.fraction, image.shape[1::-1])


class Pixelwise(Augmentation):
    """Changes the pixels of an image where they are, or in any way that no matrix tells."""

    @abstractmethod
    def __call__(self, image: Any, amount: Any) -> Any:
        """Changes one image.

        Args:
            image: uint8 (H, W, C), not to be written to.
            amount: float64 (k,), a row of `amounts`.

        Returns:
            uint8 (H, W, C), perhaps the image itself where nothing is to be done.
        """


class Mixing(Augmentation):
    """Blends each image of a batch with another one, and their labels in the proportion of the pixels.

    Where images count for different amounts, labels are in the proportion of the pixels times what their image counts.
    """

    @abstractmethod
    def __call__(self, images: Any, partners: Any, amounts: Any) -> tuple[Any, Any]:
        """Mixes the images of a batch.

        Args:
            images: float32 (B, H, W, C).
            partners: float32 (B, H, W, C), what each is mixed with.
            amounts: float64 (B, k), from `amounts`.

        Returns:
            The mixed images, float32 (B, H, W, C), and the share of its own pixels that each has, float64 (B,).
        """


def moved_far(fraction: float, setting: str) -> Iterator[Problem]:
    """That a move leaves little of a picture in sight, where that is so."""
    if fraction >= FAR:
        message = f"leaves as little as {percent((1 - fraction) ** 2)} of the picture in sight; 0.05 to 0.15 is usual"
        yield Problem(message, key=setting)


class _Amount(float):
    """A number that is written with as many digits as it takes to be seen."""

    def __format__(self, spec: str) -> str:
        texts = [format(float(self), spec.replace(".0", f".{digits}")) for digits in range(5)]
        return next((text for text in texts if text.strip("+-0.% ")), texts[0].replace("-", "+"))


def in_digits(says: str, amounts: Any) -> str:
    """A format of amounts, where small ones have more digits: 0.3 % is no `+0%`."""
    return says.format(*map(_Amount, amounts))


def identities(count: int) -> Any:
    """Matrices that move nothing, float64 (count, 3, 3)."""
    return np.broadcast_to(np.eye(3), (count, 3, 3)).copy()


def scales(shares: Any) -> Any:
    """Matrices that show shares (B, 2) of the width and the height, mirrored below 0; float64 (B, 3, 3)."""
    matrices = identities(len(shares))
    matrices[:, (0, 1), (0, 1)] = shares
    return matrices


def moves(shares: Any, farthest: float, size: Size) -> Any:
    """Matrices that move images by whole pixels, so that nothing is blurred.

    Args:
        shares: float64 (B, 2), to the right and down, from -farthest to farthest, as fractions of width and height.
        farthest: The farthest move in each direction.
        size: Of the images.

    Returns:
        float64 (B, 3, 3). Of uniform fractions each number of pixels is as likely, the farthest too.
    """
    matrices = identities(len(shares))
    matrices[:, :2, 2] = -in_pixels(shares, farthest, size)
    return matrices


def in_pixels(shares: Any, farthest: float, size: Size) -> Any:
    """How far `moves` moves images, whole pixels to the right and down, float64 (B, 2) or (2,)."""
    if not farthest:
        return np.zeros_like(shares)
    pixels = np.rint(farthest * np.array(size))
    return np.clip(np.rint(shares / farthest * (pixels + 0.5)), -pixels, pixels)


def as_moved(shares: Any, farthest: float, size: Size) -> Any:
    """The same, again as fractions of their width and height."""
    return in_pixels(shares, farthest, size) / size


def turns(degrees: Any) -> Any:
    """Matrices that turn images against the clock by degrees, float64 (B, 3, 3) from (B,)."""
    angle = np.radians(degrees)
    matrices = scales(np.cos(angle)[:, None])
    matrices[:, 0, 1] = -np.sin(angle)  # a pixel comes from where the opposite turn leads; y points down
    matrices[:, 1, 0] = np.sin(angle)
    return matrices


def zooms(larger: Any) -> Any:
    """Matrices that make images larger by fractions of their size, float64 (B, 3, 3) from (B,)."""
    return scales(1 / (1 + larger[:, None]))


def shears(right: Any, down: Any) -> Any:
    """Matrices that slant images by degrees (B,): their top to the right, then their right side down; (B, 3, 3)."""
    first, second = identities(len(right)), identities(len(down))
    first[:, 0, 1] = np.tan(np.radians(right))
    second[:, 1, 0] = -np.tan(np.radians(down))
    return first @ second


def as_factors(chance: Any, strength: float) -> Any:
    """Factors from 1 / (1 + strength) to 1 + strength, to either side as likely, from uniform numbers in [0, 1)."""
    return (1 + strength) ** (2 * chance - 1)


def either_way(chance: Any, strength: float) -> Any:
    """Uniform numbers in [-strength, strength) from such in [0, 1)."""
    return strength * (2 * chance - 1)
