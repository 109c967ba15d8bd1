"""Undersampling: of large classes only a part trains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.lazy import np
from cnnkit.data.balancing.base import Balance, Pool, Ratio, Training

_PURPOSE = 0x756E6465

MOST = 0.8
"""Of the training images: to leave out as many makes a result worse for all classes."""


class Undersample(Balance):
    """Leaves out images of large classes, by chance; the smallest class stays whole."""

    name: Literal["undersample"] = "undersample"
    ratio: Ratio = 1.0
    """The smallest class has this share of the images of the largest one; 1 for as many in all."""

    def careful(self, given: Given) -> Iterator[Problem]:
        """Images that are left out, if these are most."""
        yield from super().careful(given)
        if given.training:
            most = round(min(given.training) / self.ratio)
            left = sum(min(count, most) for count in given.training)
            out = 1 - left / sum(given.training)
            if out > MOST:
                message = f"trains on {left:,} of {sum(given.training):,} images and leaves out the others"
                yield Problem(f"{message}; class_weight and oversample keep them, ratio keeps more", key="ratio")

    def __call__(self, training: Training, pool: Pool, seed: int) -> Training:
        """The images that stay, in their order."""
        counts = training.counts(len(pool.classes))
        most = round(int(counts[counts > 0].min()) / self.ratio)
        stays = np.ones(len(training), bool)
        for label in np.flatnonzero(counts > most):
            stays[training.shuffled(label, (seed, _PURPOSE))[most:]] = False
        return training.chosen(np.flatnonzero(stays))
