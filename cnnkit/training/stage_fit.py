"""The epochs of a stage, from its first update to its last: the one loop of all training."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cnnkit.core.errors import Problem, TrainingError
from cnnkit.data.feeding import batches as feeding
from cnnkit.data.feeding.images import Inputs
from cnnkit.training.observers import Observer
from cnnkit.training.steps import Steps

LONGEST = 0.5
"""Seconds after which a call of the compiled work ends, so that signals are heard and states can be saved."""


class Diverged(TrainingError):
    """A number of a training is NaN or infinite.

    Attributes:
        metric: Name of the metric of an epoch that is; None where it is the loss, or a gradient, of the next update.
        value: Its value.
    """

    def __init__(self, *problems: Problem | str, metric: str | None = None, value: float = math.nan):
        """With what says so."""
        super().__init__(*problems)
        self.metric, self.value = metric, value


class StageFit:
    """Fits what a stage trains, epoch by epoch; its attributes tell observers where it stands.

    Attributes:
        number: Of the stage, from 1.
        steps: The compiled work.
        rate_of: From the number of an update of the stage, from 0, to its learning rate.
        training: The batches of the training; any step of it can be had again.
        images: What they are made of.
        validation: Numbers of the images that choose.
        epoch: Epochs that are over, of all stages.
        end: The same after this one.
        update: Updates of this epoch that are made.
        stopped: Set, it ends the stage after this epoch.
        observers: Who is told of it, in this order.
    """

    def __init__(
        self,
        number: int,
        steps: Steps,
        rate_of: Any,
        training: feeding.TrainBatches,
        images: Inputs,
        validation: Sequence[int],
        epochs: range,
        observers: Sequence[Observer],
        judge: Callable[[int, dict[str, float]], None],
        at_once: int | None = None,
    ):
        """Prepares it.

        Args:
            number: Of the stage.
            steps: The compiled work.
            rate_of: Its schedule, as Keras takes it: the learning rate of an update.
            training: The batches.
            images: What they are made of.
            validation: Numbers of the images that choose.
            epochs: Which of the training these are, from 0.
            observers: Are told of it.
            judge: Is given each epoch, from 1, with its metrics, while the network has the weights that were validated.
            at_once: Updates at a time, at the most: a call ends where LONGEST is over, too. The first of all makes one,
                which takes a while to be compiled, and by which the start is judged.
        """
        self.number, self.steps, self.rate_of, self.training, self.images = number, steps, rate_of, training, images
        self.validation, self.observers, self._judge = validation, observers, judge
        self.begin, self.epoch, self.end, self.update = epochs.start, epochs.start, epochs.stop, 0
        self.stopped = False
        self._at_once, self._calls, self._made = at_once, 0, 0
        self._began = self._trained = self._resumed_at = 0.0

    @property
    def updates(self) -> int:
        """How many an epoch has."""
        return self.steps.updates

    @property
    def updates_a_call(self) -> int:
        """How many updates were made at a time after the first, about."""
        return max(1, round((self._made - 1) / max(self._calls - 1, 1)))

    @property
    def step(self) -> int:
        """Updates of the whole training so far, as if all stages had as many an epoch as this one."""
        return self.epoch * self.updates + self.update

    def fit(self) -> None:
        """Trains until the last epoch is over, or `stopped` is set.

        Raises:
            Diverged: Loss or gradients are not finite any more.
        """
        with self.images.errors_as_raised():
            self._tell(lambda observer: observer.stage_begins(self))
            # The last update of an epoch may have had fewer batches than the others.
            first = self.epoch * self.steps.batches
            first += min(self.update * self.steps.accumulated, self.steps.batches)
            batches = iter(self.training.dataset(self.end, first_step=first))
            while self.epoch < self.end and not self.stopped:
                self._train(batches)
                self._tell(lambda observer: observer.trained(self))
                with self.steps.averaged():
                    metrics = {**self.steps.metrics(), **self._validated()}
                    self._judge(self.epoch + 1, metrics)
                self._close(metrics)
            self.steps.settle()

    @property
    def seconds(self) -> float:
        """For how long this epoch has been trained, its validation not counted."""
        return (self._trained or time.perf_counter()) - self._began

    @property
    def images_per_second(self) -> float | None:
        """How fast this epoch is trained; None where no update of it was made since a resume, so that nobody knows."""
        done = (self.update - self._resumed_at) / self.updates * self.training.count
        return done / max(self.seconds, 1e-6) if done else None

    def _train(self, batches: Any) -> None:
        """All updates of an epoch that are still to make."""
        self._began, self._trained, self._resumed_at = time.perf_counter(), 0.0, self.update
        if not self.update:
            self.steps.reset()
        while self.update < self.updates:
            outcome = self.steps.train(batches, self.update, self._next_updates(), LONGEST)
            self.update += outcome.done
            self._calls, self._made = self._calls + 1, self._made + outcome.done
            if not outcome.sound:
                raise self._diverged()
            self._tell(lambda observer: observer.updates_done(self))
        self._trained = time.perf_counter()

    def _next_updates(self) -> int:
        """How many the next call makes at the most; after one that was shorter it comes to a multiple of `at_once`."""
        if not self._calls:
            return 1
        left = self.updates - self.update
        return min(self._at_once - self.update % self._at_once, left) if self._at_once else left

    def _validated(self) -> dict[str, float]:
        """The metrics on the images that choose."""
        size = self.training.batch_size
        batches = iter(feeding.eval_batches(self.images, self.validation, size))
        left = feeding.steps(len(self.validation), size)
        self.steps.begin_validation()
        while left:
            left -= self.steps.evaluate(batches, left, LONGEST)
            self._tell(lambda observer: observer.validating(self))
        return self.steps.validation_metrics()

    def _close(self, metrics: Mapping[str, float]) -> None:
        """An epoch is over.

        Raises:
            Diverged: The loss of validation is not a number.
        """
        measured = {name: value for observer in self.observers for name, value in observer.measured(self).items()}
        speed = self.images_per_second
        self.epoch, self.update = self.epoch + 1, 0
        record = {
            "epoch": self.epoch,
            "step": self.step,
            **metrics,
            # That of the last update that was taken: the schedule does not count those that float16 has left out.
            "learning_rate": float(self.rate_of(max(self.steps.taken - 1, 0))),
            "seconds": round(time.perf_counter() - self._began, 3),
            "images_per_second": None if speed is None else round(speed, 1),
            **measured,
        }
        self._tell(lambda observer: observer.epoch_ends(self, record))
        for name, value in metrics.items():
            if not math.isfinite(value):
                raise Diverged(
                    f"training diverged: {name} is {value} after epoch {self.epoch}", metric=name, value=value
                )

    def _diverged(self) -> Diverged:
        where = f"epoch {self.epoch + 1}, update {self.update + 1} of {self.updates}"
        return Diverged(f"training diverged: loss or gradients are not finite in {where}")

    def _tell(self, what: Callable[[Observer], None]) -> None:
        for observer in self.observers:
            what(observer)
