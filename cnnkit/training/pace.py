"""How fast a training was, for `cnnkit init` to estimate the next ones by: see `cnnkit.core.speeds`.

The time of a training is taken apart into its start (importing TensorFlow, building the network and its first step),
the decoding, the work of the network, and the rest: reading, dividing, examining and judging the images.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cnnkit.core import speeds
from cnnkit.core.progress import Progress, Step
from cnnkit.inspection.summary import layer_rows
from cnnkit.models.backbones import title_of
from cnnkit.models.base import Network
from cnnkit.runs.run import Run
from cnnkit.training.data import TrainingData

DECODING, FEATURES = "decoding images", "computing features"
STARTS = ("starting TensorFlow", "building the network")
"""What the tasks are called that are timed."""

CLOSING = 2.0
"""Seconds of the rest that any training takes, however many images it has: reading the best epoch back, the verdict,
the page with its pictures, the record. 1.5 to 2 were seen on two cores. What is beyond them is told by image."""

STEADY = 0.2
"""Seconds below which the time of a task says too little."""


@dataclass
class Timed:
    """A task: how long it took, how many parts were done, and when the first of them were."""

    seconds: float = 0.0
    done: int = 0
    first_seconds: float = 0.0
    first_done: int = 0

    @property
    def steady_seconds(self) -> float:
        """Without the first batch, which takes a while to be made."""
        return self.seconds - self.first_seconds

    @property
    def speed(self) -> float:
        """Parts a second, after the first ones; 0 where there was too little to tell."""
        return (self.done - self.first_done) / self.steady_seconds if self.steady_seconds >= STEADY else 0.0


class Stopwatch(Progress):
    """Tells another watcher all that it is told, and times the tasks."""

    def __init__(self, watcher: Progress):
        self.watcher, self.began = watcher, time.perf_counter()
        self.tasks: dict[str, Timed] = {}

    def say(self, line: str) -> None:
        """As told."""
        self.watcher.say(line)

    def step(self, step: Step) -> None:
        """As told."""
        self.watcher.step(step)

    def epoch(self, line: str) -> None:
        """As told."""
        self.watcher.epoch(line)

    @contextmanager
    def task(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """As told, and timed."""
        timed, began = Timed(), time.perf_counter()
        with self.watcher.task(what, total) as advance:

            def advance_timed(done: int) -> None:
                timed.done += done
                if not timed.first_done:
                    timed.first_done, timed.first_seconds = timed.done, time.perf_counter() - began
                advance(done)

            try:
                yield advance_timed
            finally:
                timed.seconds = time.perf_counter() - began
                self.tasks[what] = timed

    @property
    def seconds(self) -> float:
        """Since it was started."""
        return time.perf_counter() - self.began


def record(watch: Stopwatch, data: TrainingData, network: Network, run: Run, progress: Progress) -> None:
    """Records how fast a training was that has come to its end."""
    found: dict[str, float] = {}
    experiment, images = data.experiment, len(data.images.index)
    starting = sum(timed.seconds for name, timed in watch.tasks.items() if name in STARTS)
    working = watch.tasks[DECODING].seconds if DECODING in watch.tasks else 0.0
    if features := watch.tasks.get(FEATURES):
        found[speeds.features(title_of(experiment.model), data.preprocessing.shape)] = features.speed
        starting += features.first_seconds
        working += features.steady_seconds
    epochs = [epoch for epoch in run.history() if epoch["step"]]
    plan = experiment.plan()
    if len(epochs) > 1:
        usual = statistics.median(epoch["seconds"] for epoch in epochs[1:])
        starting += max(0.0, epochs[0]["seconds"] - usual)
        working += usual * len(epochs)
        if len(plan) == 1 and not plan[0].freezes_backbone:
            macs = sum(row.macs for row in layer_rows(network.model))
            rate = statistics.median(epoch["images_per_second"] or 0.0 for epoch in epochs[1:])
            passes = 2 if experiment.train.sam else 1  # of each image, by which others are not estimated
            found[speeds.training(experiment.model.name)] = macs * rate * passes
    if features or len(epochs) > 1:
        found[speeds.STARTING] = starting + CLOSING
        rest = watch.seconds - starting - working - CLOSING
        found[speeds.HANDLING] = images / rest if images >= MANY and rest > 0 else 0.0
    speeds.record({kind: speed for kind, speed in found.items() if speed}, progress)


MANY = 1_000
"""Images below which the rest tells nothing about one of them."""
