"""Training images as training shows them, for the report: each as it is, and augmented as in some epochs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnnkit.config.experiment import Experiment
from cnnkit.core.lazy import np
from cnnkit.data.augmentations.chain import Batch, Chain
from cnnkit.data.feeding import batches
from cnnkit.evaluation.exam import Shown
from cnnkit.report.pictures import Album, Picture

IMAGES, VARIANTS = 6, 4
"""Images that are shown, and in how many epochs each."""


@dataclass(frozen=True)
class Augmented:
    """An image and what augmentation makes of it.

    Attributes:
        name: What it is called.
        pictures: It as it is, then in some epochs.
    """

    name: str
    pictures: Sequence[Picture]


def augmented(experiment: Experiment, shown: Shown, album: Album) -> list[Augmented]:
    """Some images, as they are and as they are augmented; what mixes images mixes these with each other.

    Args:
        experiment: Has the augmentations, and the seed.
        shown: The images that train.
        album: Makes the pictures.

    Raises:
        DataError: An image can't be read any more.
    """
    chain = Chain(experiment.augment, experiment.seed)
    count = len(shown.numbers)
    places = sorted({i * count // IMAGES for i in range(IMAGES)}) if count else []
    numbers = [int(shown.numbers[place]) for place in places]
    if not numbers:
        return []
    originals, keys = shown.images.rows(numbers), batches.keys_of(np.asarray(numbers))
    names = [shown.images.index.names[number] for number in numbers]
    pictures = [album.of_pixels(pixels, name, "as it is") for pixels, name in zip(originals, names, strict=True)]
    selves, weights = np.eye(len(numbers), dtype=np.float32), np.ones(len(numbers), np.float32)
    for epoch in range(VARIANTS):
        changed = chain.images(list(originals), epoch, keys)
        if chain.mixes:
            changed = chain.mixed(Batch(np.asarray(changed, np.float32), selves, weights), epoch, keys).images
        for row, pixels, original, name, key in zip(pictures, changed, originals, names, keys, strict=True):
            told = ", ".join(chain.descriptions(original, epoch, int(key)))
            row += album.of_pixels(np.uint8(np.rint(pixels)), name, told or f"epoch {epoch + 1}")
    return [Augmented(name, row) for name, row in zip(names, pictures, strict=True) if row]
