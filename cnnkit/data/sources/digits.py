"""Handwritten digits that come with scikit-learn: 1,797 grey images of 8 x 8, no download.

E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI Machine Learning Repository (1998),
https://doi.org/10.24432/C50P49; the test part of that set.
"""

from __future__ import annotations

from typing import Literal

from cnnkit.core.lazy import np
from cnnkit.core.progress import Progress
from cnnkit.data.index import Collection, Index
from cnnkit.data.sources.base import Source


class Digits(Source):
    """The 1,797 handwritten digits of scikit-learn, 8 x 8 pixels, embedded: nothing to download."""

    name: Literal["digits"] = "digits"

    def open(self, progress: Progress) -> Collection:
        """Ten classes, no split of its own; enlarged to 32 x 32, where small-image networks begin."""
        classes = tuple(str(digit) for digit in range(10))
        return Collection(classes, frozenset(), (32, 32, 1), lambda progress: self._index(classes, progress))

    def _index(self, classes: tuple[str, ...], progress: Progress) -> Index:
        from sklearn.datasets import load_digits

        digits = load_digits()
        pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # (1797, 8, 8), grey levels 0..16
        names = [f"digits/{i:04d}" for i in range(len(pixels))]
        return Index.of_pixels(classes, names, digits.target, [None] * len(pixels), pixels.__getitem__, Progress())
