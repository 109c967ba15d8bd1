"""Oversampling: the images of small classes are shown more often."""

from __future__ import annotations

from typing import Literal

from cnnkit.core.lazy import np
from cnnkit.data.balancing.base import Balance, Pool, Ratio, Training

_PURPOSE = 0x6F766572


class Oversample(Balance):
    """Shows images of small classes more often."""

    name: Literal["oversample"] = "oversample"
    ratio: Ratio = 1.0
    """Each class is brought to at least this share of the largest one; 1 for as many images in all."""

    def __call__(self, training: Training, pool: Pool, seed: int) -> Training:
        """All images, and behind them the repetitions, class by class; within a class equally often, up to one."""
        counts = training.counts(len(pool.classes))
        wanted = np.where(counts > 0, np.maximum(counts, np.rint(self.ratio * counts.max()).astype(np.int64)), 0)
        places = [np.arange(len(training))]
        for label in np.flatnonzero(wanted > counts):
            of_class = training.shuffled(label, (seed, _PURPOSE))
            whole, rest = divmod(int(wanted[label]), len(of_class))
            places += [np.sort(of_class)] * (whole - 1) + [np.sort(of_class[:rest])]
        return training.chosen(np.concatenate(places))
