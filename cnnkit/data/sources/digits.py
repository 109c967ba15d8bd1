"""Handwritten digits that come with scikit-learn: 1,797 grey images of 8 x 8, no download.

E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI Machine Learning Repository (1998),
https://doi.org/10.24432/C50P49; the test part of that set.
"""

from __future__ import annotations

from typing import Literal

from cnnkit.core.lazy import np
from cnnkit.core.progress import Progress
from cnnkit.data.index import Collection, ImageStack, Index
from cnnkit.data.sources.base import Source

IMAGES = (178, 182, 177, 183, 181, 182, 181, 179, 174, 180)
"""How many there are of each digit."""


class Digits(Source):
    """The 1,797 handwritten digits of scikit-learn, 8 x 8 pixels, embedded: nothing to download."""

    name: Literal["digits"] = "digits"

    def open(self, progress: Progress) -> Collection:
        """Ten classes, no split of its own; enlarged to 32 x 32, where small-image networks begin."""
        classes = tuple(str(digit) for digit in range(10))
        return Collection(
            classes,
            frozenset(),
            (32, 32, 1),
            lambda progress: _index(classes),
            counts=lambda: {None: IMAGES},
            pictures=(8, 8),
        )


def _index(classes: tuple[str, ...]) -> Index:
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # (1797, 8, 8), grey levels 0..16
    return Index.of_stacks(classes, [ImageStack("digits", None, pixels, digits.target, digits=4)], Progress())
