"""Waiting: the share of its time that a training waits for its next batch, and which setting to change."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from cnnkit.config.experiment import Experiment
from cnnkit.core.lazy import np
from cnnkit.core.machine import cores
from cnnkit.core.text import by, counted, percent
from cnnkit.data.augmentations.base import Mixing
from cnnkit.data.augmentations.chain import Batch, Chain
from cnnkit.data.feeding.images import Images
from cnnkit.data.feeding.pixel_store import bytes_of
from cnnkit.data.files.arrays import free_memory
from cnnkit.training import advice
from cnnkit.training.observers import Observer

if TYPE_CHECKING:
    from cnnkit.training.stage_fit import StageFit

MUCH = 0.2
"""Share of the time from which on it is worth a change."""

FELT = 1.0
"""Seconds that were waited before anything is said."""

LARGE = 64
"""Height or width, in pixels, below which smaller images are no proposal."""

TRIED = 8
"""Images on which augmentations are timed."""


class WatchWaiting(Observer):
    """Puts the share of waiting into the record of each epoch, and says once in words where it is much."""

    def __init__(self, experiment: Experiment, say: Callable[[str], None]):
        """Follows a stage.

        Args:
            experiment: What is done.
            say: Is told once.
        """
        self.experiment, self.say = experiment, say
        self.said = False
        self._waited = self._trained = 0.0
        self._without: tuple[float, float] | None = None

    def stage_begins(self, fit: StageFit) -> None:
        """Starts the clock anew."""
        self._waited = self._trained = 0.0
        self._without = None

    def updates_done(self, fit: StageFit) -> None:
        """Leaves out the first updates of the stage: they wait for the pipeline to be set up."""
        if self._without is None:
            self._without = fit.steps.waited(), fit.seconds

    def trained(self, fit: StageFit) -> None:
        """Adds up, and says it where it is much."""
        waited, seconds = self._without or (0.0, 0.0)
        self._waited += fit.steps.waited() - waited
        self._trained += fit.seconds - seconds
        self._without = 0.0, 0.0
        share = self._waited / max(self._trained, 1e-6)
        if not self.said and self._waited >= FELT and share >= MUCH:
            self.said = True
            steps = advice.numbered(list(what_to_change(fit, self.experiment)))
            self.say(f"  careful: training waits for its images {percent(min(share, 1))} of the time; try {steps}")

    def measured(self, fit: StageFit) -> dict[str, Any]:
        """The share of this epoch's training, 0 to 1; None where a resume went on behind it."""
        known = fit.images_per_second is not None
        return {"waiting": round(min(1.0, fit.steps.waited() / max(fit.seconds, 1e-6)), 3) if known else None}

    def state(self) -> dict[str, Any]:
        """Whether it was said."""
        return {"said": self.said}

    def restore(self, state: dict[str, Any]) -> None:
        """It is not said again."""
        self.said = bool(state.get("said"))


def what_to_change(fit: StageFit, experiment: Experiment) -> Iterator[str]:
    """Settings that make batches come sooner, what takes most time first, as far as a few images tell."""
    images = fit.images
    if isinstance(images, Images):
        reading, augmenting = _costs(images, Chain(experiment.augment, experiment.seed))
        dearest = max(augmenting, key=lambda name: augmenting[name], default="")
        cached = list(_to_keep(images, experiment)) if images.memory is None else []
        augmented = [_without(dearest, augmenting, experiment)] if dearest else []
        yield from (cached + augmented if reading >= sum(augmenting.values()) else augmented + cached)
        if min(images.shape[:2]) >= LARGE:
            smaller = [side * 3 // 4 for side in images.shape[:2]]
            yield f"data.image_size={smaller} (now {by(images.shape[:2])})"
    yield f"a machine with more than {counted(cores(), 'core')}, or with nothing else to do"


def _to_keep(images: Images, experiment: Experiment) -> Iterator[str]:
    """The cache that would hold the decoded images."""
    size, cache = (
        bytes_of(len(images.index), (images.shape[0], images.shape[1], images.shape[2])),
        experiment.data.cache,
    )
    gib = math.ceil(10 * size / 2**30 + 0.5) / 10
    if size <= (free_memory() or 0) / 2:
        yield f"data.cache.memory_gib={gib:g} (now {cache.memory_gib:g}), which keeps all images decoded"
    elif images.reader and images.reader.store is None:
        yield f"data.cache.disk_gib={gib:g} (now {cache.disk_gib:g}), which keeps all images decoded"


def _without(dearest: str, augmenting: dict[str, float], experiment: Experiment) -> str:
    """That an augmentation is left out, or done less often."""
    share = augmenting[dearest] / max(sum(augmenting.values()), 1e-9)
    part = f", which takes {percent(share)} of the time of augmenting" if len(augmenting) > 1 else ""
    return f"`augment` without `{dearest}`{part}, or with a smaller probability of it"


def _costs(images: Images, chain: Chain) -> tuple[float, dict[str, float]]:
    """Seconds to read a few images, and to augment them, by augmentation."""
    numbers = np.arange(min(TRIED, len(images.index)))
    images.rows(numbers)  # what is read for the first time takes longer
    began = time.perf_counter()
    pixels = images.rows(numbers)
    reading = time.perf_counter() - began
    augmenting: dict[str, float] = {}
    for augmentation in chain.augmentations:
        alone, name = Chain((augmentation,), chain.seed), str(getattr(augmentation, "name", ""))
        began = time.perf_counter()
        if isinstance(augmentation, Mixing):
            labels, weights = np.ones((len(numbers), 1), np.float32), np.ones(len(numbers), np.float32)
            alone.mixed(Batch(pixels.astype(np.float32), labels, weights), 0, numbers)
        else:
            alone.apply(pixels.copy(), 0, numbers)
        augmenting[name] = augmenting.get(name, 0.0) + time.perf_counter() - began
    return reading, augmenting
