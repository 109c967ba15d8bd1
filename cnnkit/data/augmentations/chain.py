"""A list of augmentations at work on a batch: the one place where chance is handed out and neighbours are fused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cnnkit.core import randomness
from cnnkit.core.lazy import np
from cnnkit.data.augmentations.base import Augmentation, Fill, Geometric, Mixing, Pixelwise, Size
from cnnkit.data.augmentations.warping import Warps, warped


@dataclass(frozen=True)
class Batch:
    """What is shown to the network at once: images (B, H, W, C), one-hot labels (B, K) and weights (B,), float32."""

    images: Any
    labels: Any
    weights: Any


@dataclass(frozen=True)
class Chain:
    """Augmentations in their order, keyed by a seed: the same (epoch, number) of an image always gives the same."""

    augmentations: Sequence[Augmentation]
    seed: int

    def apply(self, pixels: Any, epoch: int, numbers: Any) -> None:
        """Augments each image by itself, in its place; mixing is left to `mixed`.

        Args:
            pixels: uint8 (B, H, W, C).
            epoch: Which epoch they are shown in.
            numbers: int64 (B,), which they are.
        """
        _, height, width, channels = pixels.shape
        steps = self._steps(epoch, np.asarray(numbers), (width, height))
        # A few at a time, so that they stay in the cache of the processor from step to step.
        some = max(1, _CLOSE // (height * width * channels))
        for first in range(0, len(pixels), some):
            for step in steps:
                step.at_once(pixels[first : first + some], first)

    def images(self, images: Sequence[Any], epoch: int, numbers: Any) -> Any:
        """The images augmented, each by itself, uint8 (H, W, C) each, as float32 (B, H, W, C): what may be mixed."""
        pixels = np.array(images)
        self.apply(pixels, epoch, numbers)
        return pixels.astype(np.float32)

    @property
    def mixes(self) -> bool:
        """Whether `mixed` does anything."""
        return any(isinstance(augmentation, Mixing) for augmentation in self.augmentations)

    def mixed(self, batch: Batch, epoch: int, numbers: Any) -> Batch:
        """Mixes the images of a batch, their labels and what they count for, where the list asks for it.

        What a mixed image counts for is the sum of what its parts do, each by its share of the pixels, and its label
        has each class in proportion to that. So every image counts as much in all as without mixing, and where all
        count the same, labels have the shares of the pixels.

        Args:
            batch: What `images` made, with labels and weights.
            epoch: Which epoch they are shown in.
            numbers: int64 (B,), which they are.
        """
        for place, augmentation in enumerate(self.augmentations):
            if isinstance(augmentation, Mixing):
                batch = self._mixed(place, augmentation, batch, epoch, np.asarray(numbers))
        return batch

    def descriptions(self, image: Any, epoch: int, number: int) -> list[str]:
        """What is done to one image in one epoch, a text for each augmentation that changes it.

        Args:
            image: uint8 (H, W, C), as it is before.
            epoch: Which epoch it is shown in.
            number: Which it is.
        """
        texts = []
        for place, augmentation in enumerate(self.augmentations):
            amounts, hit = self._amounts(place, augmentation, epoch, np.asarray([number]))
            before, text = image, augmentation.description(amounts[0], image) if hit[0] else ""
            if text and isinstance(augmentation, Geometric):
                image = warped(image, augmentation.matrices(amounts, image.shape[1::-1]), augmentation.outside)
            elif text and isinstance(augmentation, Pixelwise):
                image = augmentation(image, amounts[0])
            # An amount may be too small for this image: what can't be seen was not done.
            if text and (isinstance(augmentation, Mixing) or not np.array_equal(before, image)):
                texts.append(text)
        return texts

    def _amounts(self, place: int, augmentation: Augmentation, epoch: int, numbers: Any) -> tuple[Any, Any]:
        """What is done to each image, (B, k), and whether it is done at all, (B,)."""
        drawn = randomness.uniform((self.seed, place, epoch), numbers, 1 + augmentation.chances)
        return augmentation.amounts(drawn[:, 1:]), augmentation.hits(drawn[:, 0])

    def _steps(self, epoch: int, numbers: Any, size: Size) -> list[Warps | _Change]:
        """What is done to the images. Geometric ones in a row are fused, unless they fill with different things.

        What one moved out of the picture another may bring back, where by itself that would have to fill.
        """
        steps: list[tuple[Any, Fill | None] | _Change] = []
        for place, augmentation in enumerate(self.augmentations):
            if isinstance(augmentation, Mixing):
                continue
            amounts, hit = self._amounts(place, augmentation, epoch, numbers)
            if isinstance(augmentation, Pixelwise):
                steps.append(_Change(augmentation, amounts, hit.tolist()))
                continue
            assert isinstance(augmentation, Geometric)
            matrices = augmentation.matrices(amounts, size)
            matrices[~hit] = np.eye(3)
            before, fill = steps[-1] if steps else None, augmentation.outside
            if isinstance(before, tuple) and (fill is None or before[1] in (None, fill)):
                # A pixel of its result comes from where it says, and that from where those before say.
                steps[-1] = before[0] @ matrices, before[1] or fill
            else:
                steps.append((matrices, fill))
        return [Warps(*step, size) if isinstance(step, tuple) else step for step in steps]

    def _mixed(self, place: int, mixing: Mixing, batch: Batch, epoch: int, numbers: Any) -> Batch:
        amounts, hit = self._amounts(place, mixing, epoch, numbers)
        # A random order of the batch, by numbers of its images: each has another one as a partner, in a circle.
        order = np.argsort(randomness.uniform((self.seed, place, epoch, _PARTNERS), numbers, 1)[:, 0], kind="stable")
        partners = np.empty_like(order)
        partners[order] = np.roll(order, 1)
        images, own = mixing(batch.images, batch.images[partners], amounts)
        own = np.where(hit, own, 1.0)
        images[~hit] = batch.images[~hit]
        # What counts is l w CE(y) + (1 - l) w' CE(y'): a share of the pixels brings what its image counts for with it.
        mass, others = own * batch.weights, (1 - own) * batch.weights[partners]
        weights = mass + others
        unequal = (batch.weights != batch.weights[partners]) & (weights > 0)
        share = np.divide(mass, weights, out=own.copy(), where=unequal)[:, None]
        labels = share * batch.labels + (1 - share) * batch.labels[partners]
        return Batch(images, labels.astype(np.float32), weights.astype(np.float32))


_CLOSE = 2**18
"""Bytes of images that are worked on together."""

_PARTNERS = 1
"""A purpose of chance of its own."""


@dataclass(frozen=True)
class _Change:
    """A change of pixels, with what it does to each image of a batch."""

    augmentation: Pixelwise
    amounts: Any
    hit: list[bool]

    def at_once(self, images: Any, first: int) -> None:
        """Changes images in their place, of which the first has a place in the batch."""
        for i, image in enumerate(images, start=first):
            if self.hit[i] and (changed := self.augmentation(image, self.amounts[i])) is not image:
                image[:] = changed
