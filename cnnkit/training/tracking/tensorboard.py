"""What TensorBoard shows of a run, in three of its own: the whole, `train` and `validation`.

The same metric has the same tag in `train` and in `validation`, so both curves lie in one chart. There are two axes:
tags that begin with `epoch/` count epochs, as all that cnnkit says of a training does, and those with `step/` updates.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from cnnkit.config.experiment import Experiment
from cnnkit.core import sheet
from cnnkit.core.lazy import np, tf
from cnnkit.core.sheet import Cell
from cnnkit.data.feeding import batches as feeding
from cnnkit.data.feeding.images import Images
from cnnkit.optimization.training_metrics import VALIDATION
from cnnkit.runs.run import Run
from cnnkit.training.tracking import event_files
from cnnkit.training.tracking.base import Recorder
from cnnkit.training.tracking.event_files import EventFiles
from cnnkit.training.tracking.settings import flat, scalars

if TYPE_CHECKING:
    from cnnkit.training.stage_fit import StageFit

EPOCH, STEP = "epoch/", "step/"
"""What tags begin with, by what the axis counts."""

POINTS = 20
"""Of the loss within an epoch, at the most."""
SECONDS = 1.0
"""Between two of them, at least."""

FIRST_BATCH = "first_batch"
SHOWN, COLUMNS = 16, 4
"""Images of the first batch on its sheet, and how many stand side by side."""
WIDEST, COLOURS = 800, 128
"""Pixels of the longer side of that sheet, and its colours, at the most: so it takes half a MB, of noise."""

_HYPERPARAMETERS = (
    "seed",
    "augment",
    "model",
    "train",
    "data.image_size",
    "data.batch_size",
    "data.balance",
    "data.prepare",
)
"""Settings that are compared between runs; the others say where images come from, and where they are kept."""


class TensorBoard(Recorder):
    """Writes the event files of a run."""

    title, key = "TensorBoard", "tensorboard"

    def __init__(self, run: Run, experiment: Experiment, classes: list[str]):
        """Writes nothing yet.

        Args:
            run: The run.
            experiment: Its config.
            classes: Names of its classes.
        """
        self._run, self._experiment, self._classes = run, experiment, classes
        folder = run.files.tensorboard
        self._whole, self._train, self._validation = map(EventFiles, (folder, folder / "train", folder / "validation"))
        self._epochs = self._updates = 0
        """Recorded so far; updates count on from stage to stage, whatever an epoch of each has."""
        self._of_epoch = 0
        """Updates of an epoch that is trained and not recorded yet."""
        self._mean, self._count, self._time = 0.0, 0, 0.0
        """The mean loss of the epoch when it was last recorded, of how many updates, and when that was."""
        self._kept: tuple[int, int] | None = 0, 0
        """Epochs and updates up to which an earlier training of the run counts; None once all beyond is taken out."""

    def begin(self) -> None:
        """Writes down the settings, unless an earlier training of the run has."""
        if self._whole:
            self._whole.cut(lambda _, tag: tag != event_files.ENDED)
            return
        config = self._run.files.config.read_text(encoding="utf-8")
        fenced = "".join(f"    {line}\n" for line in config.splitlines())
        self._whole.add(0, event_files.text("config", fenced))
        chosen = {name: value for name, value in flat(self._experiment).items() if name.startswith(_HYPERPARAMETERS)}
        self._whole.add(0, event_files.settings(chosen))

    def stage_begins(self, fit: StageFit) -> None:
        """Draws the first batch of the training, if it is of images."""
        if fit.number == 1 and not fit.epoch and not fit.update and isinstance(fit.training.images, Images):
            self._whole.cut(lambda _, tag: tag != FIRST_BATCH)  # begun anew, before anything was kept
            paper = first_batch(fit.training, self._classes)
            paper.thumbnail((WIDEST, WIDEST))
            png = sheet.as_png(paper, COLOURS).tobytes()
            self._whole.add(0, event_files.picture(FIRST_BATCH, png, paper.size))

    def updates_done(self, fit: StageFit) -> None:
        """Records the loss of the updates since it was last recorded, now and then."""
        now, since = time.monotonic(), fit.update - self._count
        if since * POINTS < fit.updates or now - self._time < SECONDS:
            return
        mean = fit.steps.metrics()["loss"]
        # The network tells the mean since the epoch began; of the updates since the last time it is this.
        loss = (mean * fit.update - self._mean * self._count) / since
        self._mean, self._count, self._time = mean, fit.update, now
        self._add(self._train, self._updates + fit.update, {f"{STEP}loss": loss})

    def trained(self, fit: StageFit) -> None:
        """Notes how many updates the epoch had; a run that was stopped in its validation is told so twice."""
        self._of_epoch = fit.updates

    def epoch(self, metrics: dict[str, Any]) -> None:
        """Records an epoch: what is measured in validation there, all else in `train`."""
        self._epochs = metrics["epoch"]
        self._updates, self._of_epoch = self._updates + self._of_epoch, 0
        self._mean, self._count = 0.0, 0  # the next one begins anew
        train, validation = {}, {}
        for name, value in scalars(metrics):
            if name.startswith(VALIDATION):
                validation[f"{EPOCH}{name.removeprefix(VALIDATION)}"] = value
            else:
                train[name if "/" in name else f"{EPOCH}{name}"] = value
        self._add(self._train, self._epochs, train)
        self._add(self._validation, self._epochs, validation)

    def end(self, state: str) -> None:
        """Records how it ended, for the table of hyperparameters."""
        self._whole.add(0, event_files.end_of_settings(state == "finished"))

    def _add(self, events: EventFiles, step: int, values: dict[str, float]) -> None:
        """Adds points; before the first, what an earlier training of the run has recorded beyond here is taken out."""
        if self._kept:
            epochs, updates = self._kept
            for each in (self._train, self._validation):
                each.cut(lambda at, tag: at <= (updates if tag.startswith(STEP) else epochs))
            self._kept = None
        if values:
            events.add(step, *(event_files.scalar(tag, value) for tag, value in values.items()))

    def state(self) -> dict[str, Any]:
        """How much is recorded."""
        return {"epochs": self._epochs, "updates": self._updates, "mean": self._mean, "count": self._count}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on behind that."""
        self._epochs, self._updates = state["epochs"], state["updates"]
        self._mean, self._count = state["mean"], state["count"]
        self._kept = self._epochs, self._updates + self._count


def first_batch(training: feeding.TrainBatches, classes: list[str]) -> Any:
    """A sheet of the first images that are trained on, augmented and mixed as they are, with their classes below."""
    epoch, size = tf.constant(0, tf.int64), training.batch_size if training.chain.mixes else SHOWN
    places = feeding.order_of(training.count, training.chain.seed, epoch)[: min(size, training.batch_size)]
    images, labels, _ = training.batch(*training.pixels(epoch, places))
    pixels = np.uint8(np.clip(np.rint(images[:SHOWN].numpy()), 0, 255))
    cells = [Cell(image, [_words(label, classes)]) for image, label in zip(pixels, labels[:SHOWN].numpy(), strict=True)]
    columns = min(COLUMNS, len(cells))
    rows = [cells[last - columns : last] for last in range(columns, len(cells) + 1, columns)]
    paper, _ = sheet.drawn("The first images that the network is trained on", [""] * columns, rows)
    return paper


def _words(label: Any, classes: list[str]) -> str:
    """The classes of an image, float32 (classes,), with their shares where there are several."""
    found = [number for number in np.argsort(-label, kind="stable").tolist() if label[number] >= 0.005]
    if len(found) == 1:
        return str(classes[found[0]])
    return " + ".join(f"{label[number]:.0%} {classes[number]}" for number in found)
