"""Start checks: what the first updates of a training tell, at no cost: they are those of the training itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cnnkit.config.experiment import Experiment
from cnnkit.core.errors import TrainingError
from cnnkit.core.lazy import keras, np
from cnnkit.core.text import counted, in_gib
from cnnkit.data.feeding.batches import TrainBatches
from cnnkit.data.feeding.images import Features
from cnnkit.data.files.arrays import free_memory
from cnnkit.inspection.first_config.duration import roughly
from cnnkit.inspection.summary import layer_rows, memory_of
from cnnkit.models.freezing import BACKBONE
from cnnkit.optimization.losses import Loss
from cnnkit.training import advice
from cnnkit.training.gradients import layer_of
from cnnkit.training.model import Learner
from cnnkit.training.observers import Observer

if TYPE_CHECKING:
    from cnnkit.training.stage_fit import StageFit

FAR_ABOVE = 10.0
"""Times the loss of guessing, and one more, above which a loss at the start is far above it."""

HUGE = 1e6
"""A loss that no training that goes well has."""

GROWN = 100
"""Times the loss of guessing, or of the start where that is larger, that is as odd."""

STEADY = 3.0
"""Seconds of updates, without the first, by which the time of a training is told."""

LONG = 300
"""Seconds of a stage from which on its time is told."""


def guessing(loss: Loss, training: TrainBatches) -> float:
    """The loss of a network that finds every class equally likely: ln(classes) for cross-entropy.

    Each image counts for what it does in the training.
    """
    classes = training.classes
    labels = training.labels.numpy()
    shares = np.bincount(labels, training.weights.numpy().astype(np.float64), minlength=classes)
    logits = np.zeros((classes, loss.logits(classes)), np.float32)
    losses = np.asarray(keras.ops.convert_to_numpy(loss(np.eye(classes, dtype=np.float32), logits)), np.float64)
    return float(losses @ shares / max(len(labels), 1))


class StartChecks(Observer):
    """Looks at the first updates of a stage, and at the loss as long as it goes on."""

    def __init__(self, experiment: Experiment, say: Callable[[str], None]):
        """Follows a stage.

        Args:
            experiment: What is done.
            say: Is told what is odd.
        """
        self.experiment, self.say = experiment, say
        self.guessing: float | None = None
        self.first: float | None = None
        self.above = self.grown = self.timed = False
        self._began: tuple[float, int] | None = None

    @property
    def too_large(self) -> bool:
        """Whether it was said that the loss is beyond reason, from the start or by now: gradients are too then."""
        return self.above or self.grown

    def stage_begins(self, fit: StageFit) -> None:
        """Looks at what is to learn, and at the memory that it takes.

        Raises:
            TrainingError: Nothing is to learn.
        """
        if not fit.steps.learner.trainable_variables:
            raise TrainingError(
                "there is nothing to train: all layers are frozen, so every epoch would be the same; let one learn "
                "(train.stages: freeze, unfreeze_from)"
            )
        self._began = None
        if line := memory_line(fit.steps.learner, fit.training, self.experiment):
            self.say(f"  careful: {line}")

    def updates_done(self, fit: StageFit) -> None:
        """Looks at the loss, and how long it takes."""
        if self.guessing is None:
            self.guessing = guessing(self.experiment.train.loss, fit.training)
        loss = fit.steps.metrics()["loss"]
        if self.first is None:
            self.first = loss
            if fit.epoch == fit.begin and fit.update == 1:
                self._look_at_start(fit, loss)
        self._look_at_loss(fit, loss)
        self._tell_time(fit)

    def state(self) -> dict[str, Any]:
        """The loss at the start, and what was said."""
        return {"first": self.first, "above": self.above, "grown": self.grown, "timed": self.timed}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on with these."""
        self.first = state.get("first")
        self.above, self.grown, self.timed = (bool(state.get(name)) for name in ("above", "grown", "timed"))

    def _look_at_start(self, fit: StageFit, loss: float) -> None:
        """Says that the loss begins far above that of guessing, where it does."""
        assert self.guessing is not None
        if line := far_above(loss, self.guessing, fit.steps.learner, self.experiment):
            self.above = True
            self.say(f"  careful: {line}")

    def _look_at_loss(self, fit: StageFit, loss: float) -> None:
        """Says once that the loss has grown beyond reason, though it is a number still."""
        assert self.guessing is not None and self.first is not None
        if self.grown or not (loss > HUGE or loss > GROWN * max(self.guessing, self.first)):
            return
        self.grown = True
        steps = list(advice.against_divergence(self.experiment, fit.number, fit.epoch == fit.begin))
        self.say(
            f"  careful: the loss is {loss:.3g} in epoch {fit.epoch + 1}, and was {self.first:.4g} at the start "
            f"(guessing has {self.guessing:.4g}): the training diverges; try {advice.numbered(steps)}"
        )

    def _tell_time(self, fit: StageFit) -> None:
        """Says once how long the stage takes, where that is long."""
        now, done = time.perf_counter(), fit.epoch * fit.updates + fit.update
        if self._began is None:
            self._began = now, done  # the first update takes a while to be made
            return
        began, before = self._began
        if self.timed or done <= before or (now - began < STEADY and fit.update < fit.updates):
            return
        self.timed = True
        epoch = (now - began) / (done - before) * fit.updates
        epochs = fit.end - fit.begin
        if epoch * epochs >= LONG:
            self.say(
                f"an epoch takes {roughly(epoch)} of training, the {counted(epochs, 'epoch')} of this stage "
                f"{roughly(epoch * epochs)}, validation not counted"
            )


def far_above(loss: float, guessing: float, learner: Learner, experiment: Experiment) -> str | None:
    """That the loss of the first batch is far above that of guessing; None where it is not.

    Args:
        loss: As the training has it, with all that is in it.
        guessing: See `guessing`.
        learner: What learns.
        experiment: What is done.
    """
    guessed = guessing * (1 + sum(learner.weights_of_auxiliary))
    if loss <= FAR_ABOVE * guessed + 1:
        return None
    loss -= learner.penalty()
    if loss <= FAR_ABOVE * guessed + 1:
        return None
    reasons = ["weights that start too large (initializer)"]
    if advice.lacks_normalization(experiment.model):
        reasons.append("many layers without normalisation (model.normalization=batch)")
    if experiment.model.pretrained:
        reasons.insert(0, "pixels in another range than the weights were learnt with (scaling, pixel_range)")
    schedule = experiment.train.schedule
    harmless = (
        "" if not schedule or schedule.warmup_epochs else "; train.schedule.warmup_epochs=1 keeps the first steps small"
    )
    return (
        f"the loss begins at {loss:.4g}, where guessing has {guessed:.4g}: the network is sure, and wrong, before it "
        f"has learnt. Probable reasons: {advice.numbered(reasons)}{harmless}"
    )


def memory_line(learner: Learner, training: TrainBatches, experiment: Experiment) -> str | None:
    """That a stage takes more memory than is free, by what its layers make and keep; None where it fits.

    It is an estimate, and of the machine's memory: that of a GPU is not known beforehand.
    """
    if isinstance(training.images, Features) or not (free := free_memory()):
        return None
    if any(type(layer).__name__ == "SavedModelLayer" for layer in learner.all.layers):
        return None  # to count what is in it takes longer than to try
    slots = experiment.train.slots(experiment.plan())
    weights = learner.trainable_variables
    learns = sum(int(np.prod(weight.shape)) for weight in weights)
    frozen = () if any(layer_of(weight.path) != LOGITS for weight in weights) else (BACKBONE,)
    saves = experiment.train.checkpoint.saves
    parts = memory_of(layer_rows(learner.model), training.batch_size, slots, learns, frozen, saves)
    if parts["total"] <= free:
        return None
    fixed = parts["total"] - parts["activations"]
    fitting = int(training.batch_size * (free - fixed) / max(parts["activations"], 1))
    batch = f"data.batch_size={fitting}" if fitting >= 1 else "a smaller network or data.image_size"
    return (
        f"training takes about {in_gib(parts['total'])} of memory, and {in_gib(free)} are free; if it ends for lack of "
        f"it, try {batch}"
    )


LOGITS = "logits"
"""The layer that every network ends in."""
