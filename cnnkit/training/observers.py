"""What happens between the updates and epochs of a training: each follows it, and none has a say in its steps."""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from cnnkit.core.progress import Progress, Step
from cnnkit.core.text import counted
from cnnkit.optimization import training_metrics
from cnnkit.optimization.training_metrics import metric_of

if TYPE_CHECKING:
    from cnnkit.training.stage_fit import StageFit

REFRESH = 0.2
"""Seconds between two signs of life."""


class Observer:
    """Follows the fit of a stage; one that does nothing at a moment leaves that method out."""

    def stage_begins(self, fit: StageFit) -> None:
        """Before the first update, or the first since a resume."""

    def updates_done(self, fit: StageFit) -> None:
        """Some updates are made, as many as half a second has at the most, or one that takes longer."""

    def trained(self, fit: StageFit) -> None:
        """The last update of an epoch is made; validation begins."""

    def measured(self, fit: StageFit) -> dict[str, Any]:
        """What it adds to the line of metrics.jsonl of the epoch that has been trained and validated."""
        return {}

    def validating(self, fit: StageFit) -> None:
        """Some batches of the validation are judged."""

    def epoch_ends(self, fit: StageFit, metrics: dict[str, Any]) -> None:
        """An epoch is over.

        Args:
            fit: What is fitted; its `epoch` counts this one already.
            metrics: A line of metrics.jsonl.
        """

    def state(self) -> dict[str, Any]:
        """What a resume needs of it, as JSON has it."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from a state that `state` gave."""


def sound(metrics: Mapping[str, Any]) -> bool:
    """Whether all that was measured of an epoch is finite: if not, the training has diverged."""
    return all(math.isfinite(value) for value in metrics.values() if isinstance(value, float))


class Watch(Observer):
    """Shows where an epoch stands, now and then."""

    def __init__(self, progress: Progress, epochs: int):
        """Follows a training.

        Args:
            progress: Is shown.
            epochs: How many the training has, unless it is stopped.
        """
        self.progress, self.epochs = progress, epochs
        self.began: float | None = None
        self.before = self.after = 0
        self.refreshed = 0.0

    def stage_begins(self, fit: StageFit) -> None:
        """Starts the clock anew: the first update of a stage takes a while to be made."""
        self.began, self.before, self.after = None, 0, 0
        self.progress.step(Step(epoch=fit.epoch + 1, epochs=self.epochs, step=fit.update, steps=fit.updates))

    def updates_done(self, fit: StageFit) -> None:
        """Shows the epoch so far."""
        now, done = time.perf_counter(), fit.epoch * fit.updates + fit.update
        if self.began is None:
            # The time that is left is told from the updates after the first, slow one.
            self.began, self.before = now, done
        if now - self.refreshed < REFRESH:
            return
        self.refreshed = now
        left = self.epochs * fit.updates - done
        self.progress.step(
            Step(
                epoch=fit.epoch + 1,
                epochs=self.epochs,
                step=fit.update,
                steps=fit.updates,
                metrics=fit.steps.metrics(),
                images_per_second=fit.images_per_second or 0.0,
                seconds_left=(now - self.began) / max(done - self.before, 1) * left,
            )
        )


class KeepBest(Observer):
    """Saves the weights of each epoch that is the best so far.

    Attributes:
        best: Value of the monitor in the best epoch.
        last: Its value in the last one.
        best_epoch: That epoch, counted from 1; 0 if there is none yet.
    """

    def __init__(self, monitor: str, save: Callable[[int, dict[str, float]], None]):
        """Follows a training, or several stages of it.

        Args:
            monitor: Name of the metric.
            save: Is given an epoch and its metrics, when its weights are to be saved.
        """
        self.monitor, self.save = monitor, save
        self.best: float | None = None
        self.last: float | None = None
        self.best_epoch = 0

    def judge(self, epoch: int, metrics: dict[str, float]) -> None:
        """Saves if this epoch is better than all before, and sound.

        Args:
            epoch: Counted from 1.
            metrics: Those that training follows.
        """
        self.last = value = float(metrics[self.monitor])
        if sound(metrics) and metric_of(self.monitor).better(value, self.best):
            self.best, self.best_epoch = value, epoch
            self.save(epoch, {name: float(value) for name, value in metrics.items()})

    def worse_than(self, before: float | None) -> str:
        """That the last epoch was worse than an earlier one, and which is kept; empty if it was not."""
        if before is None or self.last is None or not metric_of(self.monitor).better(before, self.last):
            return ""
        return f"{training_metrics.text({self.monitor: self.last})} after {before:.4f}; epoch {self.best_epoch} is kept"

    def state(self) -> dict[str, Any]:
        """The values so far; NaN, which JSON has not, is null as none is."""
        last = None if self.last is None or not math.isfinite(self.last) else self.last
        return {"best": self.best, "last": last, "best_epoch": self.best_epoch}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on with these."""
        self.best, self.last, self.best_epoch = state["best"], state["last"], state["best_epoch"]


class Waiting(Observer):
    """Counts the epochs since a metric was best, for what happens when that was too long ago.

    Attributes:
        waited: Epochs without a new best.
    """

    def __init__(self, monitor: str, patience: int, min_delta: float):
        """Follows one stage.

        Args:
            monitor: Name of the metric.
            patience: Epochs.
            min_delta: By how much a value must be better to be a new best.
        """
        self.monitor, self.patience, self.min_delta = monitor, patience, min_delta
        self.best: float | None = None
        self.waited = 0

    def epoch_ends(self, fit: StageFit, metrics: dict[str, Any]) -> None:
        """Counts the epochs since the best one."""
        value = metrics[self.monitor]
        if metric_of(self.monitor).better(value, self.best, self.min_delta):
            self.best, self.waited = value, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.too_long(fit)

    @abstractmethod
    def too_long(self, fit: StageFit) -> None:
        """`patience` epochs have brought no new best."""

    def state(self) -> dict[str, Any]:
        """The best value so far, and for how long."""
        return {"best": self.best, "waited": self.waited}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on with these."""
        self.best, self.waited = state["best"], state["waited"]


class StopEarly(Waiting):
    """Ends a stage after `patience` epochs without a new best."""

    def __init__(self, monitor: str, patience: int, min_delta: float, say: Callable[[str], None]):
        """Follows one stage.

        Args:
            monitor: Name of the metric.
            patience: Epochs.
            min_delta: By how much a value must be better to be a new best.
            say: Is told when it ends.
        """
        super().__init__(monitor, patience, min_delta)
        self.say = say

    def too_long(self, fit: StageFit) -> None:
        """Ends it."""
        fit.stopped = True
        self.say(f"Stopped after epoch {fit.epoch}: {self.monitor} was best {counted(self.waited, 'epoch')} ago.")
