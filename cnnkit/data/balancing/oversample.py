"""Oversampling: the images of small classes are shown more often."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.lazy import np
from cnnkit.data.balancing.base import Balance, Pool, Ratio, Training

_PURPOSE = 0x6F766572

OFTEN = 20
"""So many times an epoch an image is learnt by heart in a few."""


class Oversample(Balance):
    """Shows images of small classes more often."""

    name: Literal["oversample"] = "oversample"
    ratio: Ratio = 1.0
    """Each class is brought to at least this share of the largest one; 1 for as many images in all."""

    def careful(self, given: Given) -> Iterator[Problem]:
        """Images that are shown again and again."""
        yield from super().careful(given)
        times = self.ratio * (given.imbalance or 0)
        if times > OFTEN:
            message = f"shows each of {min(given.training):,} images of the smallest class {times:,.0f} times an epoch"
            yield Problem(f"{message}, so they are learnt by heart; a ratio below 1 repeats them less", key="ratio")

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
