"""Undersampling: of large classes only a part trains."""

from __future__ import annotations

from typing import Literal

from cnnkit.core.lazy import np
from cnnkit.data.balancing.base import Balance, Pool, Ratio, Training

_PURPOSE = 0x756E6465


class Undersample(Balance):
    """Leaves out images of large classes, by chance; the smallest class stays whole."""

    name: Literal["undersample"] = "undersample"
    ratio: Ratio = 1.0
    """The smallest class has this share of the images of the largest one; 1 for as many in all."""

    def __call__(self, training: Training, pool: Pool, seed: int) -> Training:
        """The images that stay, in their order."""
        counts = training.counts(len(pool.classes))
        most = round(int(counts[counts > 0].min()) / self.ratio)
        stays = np.ones(len(training), bool)
        for label in np.flatnonzero(counts > most):
            stays[training.shuffled(label, (seed, _PURPOSE))[most:]] = False
        return training.chosen(np.flatnonzero(stays))
