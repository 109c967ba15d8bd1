"""What happens between the steps and epochs of a training, as Keras callbacks.

Keras's own EarlyStopping and ModelCheckpoint are not used: one NaN and they never see an improvement again, a
monitor that does not exist only warns them, and the checkpoint is written in place.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from cnnkit.core.errors import TrainingError
from cnnkit.core.lazy import keras
from cnnkit.core.progress import Progress, Step
from cnnkit.core.text import counted
from cnnkit.optimization import training_metrics
from cnnkit.optimization.training_metrics import TRAINING, VALIDATION, metric_of, read

REFRESH = 0.2
"""Seconds between two signs of life; reading the loss more often would slow training down."""


class Watch(keras.callbacks.Callback):
    """Tells how training goes: to whoever watches, and an epoch at a time to `record`."""

    def __init__(
        self, progress: Progress, epochs: int, steps: int, images: int, record: Callable[[dict[str, Any]], None]
    ):
        super().__init__()
        self.progress, self.epochs, self.steps, self.images, self.record = progress, epochs, steps, images, record
        self.began: float | None = None
        self.done = 0
        self.epoch_began = self.trained = self.refreshed = 0.0
        self.epoch = 0

    def on_train_begin(self, logs: Any = None) -> None:
        """Starts the clock anew: the first step of a stage takes a while to be made."""
        self.began, self.done = None, 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Starts the clock of the epoch."""
        self.epoch = epoch
        if self.began is None:
            self.progress.step(Step(epoch=epoch + 1, epochs=self.epochs, step=0, steps=self.steps))
        self.epoch_began = self.trained = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Shows where the epoch stands, now and then."""
        now = time.perf_counter()
        if self.began is None:
            self.began = now  # the time that is left is told from the steps after the first, slow one
        else:
            self.done += 1
        if now - self.refreshed < REFRESH:
            return
        self.refreshed = now
        left = (self.epochs - self.epoch) * self.steps - batch - 1
        self.progress.step(
            Step(
                epoch=self.epoch + 1,
                epochs=self.epochs,
                step=batch + 1,
                steps=self.steps,
                metrics=read(logs, TRAINING),
                images_per_second=(batch + 1) / self.steps * self.images / (now - self.epoch_began),
                seconds_left=(now - self.began) / max(self.done, 1) * left,
            )
        )

    def on_test_begin(self, logs: Any = None) -> None:
        """Validation begins: training of this epoch is over."""
        self.trained = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Records the epoch.

        Raises:
            TrainingError: The loss is not a number any more.
        """
        now = time.perf_counter()
        # The rate of the last step taken; the schedule is a function of the step.
        step = int(self.model.optimizer.iterations) - 1
        schedule = self.model.optimizer._learning_rate
        self.record(
            {
                "epoch": epoch + 1,
                "step": (epoch + 1) * self.steps,
                **read(logs, TRAINING, VALIDATION),
                "learning_rate": float(schedule(step)),
                "seconds": round(now - self.epoch_began, 3),
                "images_per_second": round(self.images / (self.trained - self.epoch_began), 1),
            }
        )
        for name in ("loss", "val_loss"):
            if not math.isfinite(logs[name]):
                raise TrainingError(
                    f"training diverged: {name} is {logs[name]} after epoch {epoch + 1}; try a learning rate ten "
                    "times smaller (train.optimizer.learning_rate) or a warm-up (train.schedule.warmup_epochs)"
                )


class KeepBest(keras.callbacks.Callback):
    """Saves the weights of each epoch that is the best so far.

    Attributes:
        best: Value of the monitor in the best epoch.
        last: Its value in the last one.
    """

    def __init__(self, monitor: str, save: Callable[[int, dict[str, float]], None]):
        super().__init__()
        self.monitor, self.save = monitor, save
        self.best: float | None = None
        self.last: float | None = None
        self.best_epoch = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Saves if this epoch is better than all before, and sound."""
        self.last = value = float(logs[self.monitor])
        if all(map(math.isfinite, logs.values())) and metric_of(self.monitor).better(value, self.best):
            self.best, self.best_epoch = value, epoch + 1
            self.save(epoch + 1, {name: float(value) for name, value in logs.items()})

    def worse_than(self, before: float | None) -> str:
        """That the last epoch was worse than an earlier one, and which is kept; empty if it was not."""
        if before is None or self.last is None or not metric_of(self.monitor).better(before, self.last):
            return ""
        return f"{training_metrics.text({self.monitor: self.last})} after {before:.4f}; epoch {self.best_epoch} is kept"


class StopEarly(keras.callbacks.Callback):
    """Ends training after `patience` epochs without a new best."""

    def __init__(self, monitor: str, patience: int, min_delta: float, say: Callable[[str], None]):
        super().__init__()
        self.monitor, self.patience, self.min_delta, self.say = monitor, patience, min_delta, say
        self.best: float | None = None
        self.waited = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Counts the epochs since the best one."""
        value = logs[self.monitor]
        if metric_of(self.monitor).better(value, self.best, self.min_delta):
            self.best, self.waited = value, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.model.stop_training = True
            self.say(f"Stopped after epoch {epoch + 1}: {self.monitor} was best {counted(self.waited, 'epoch')} ago.")
