"""Preflight: in seconds to a minute, whether a training is likely to work. It leaves nothing behind.

The data is opened and examined as for a training, then a few updates are made on it, and then many on one batch: a
network that can't learn one batch by heart learns nothing else either, and the reason is found sooner there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from cnnkit.config.experiment import Experiment
from cnnkit.core import cache
from cnnkit.core.lazy import keras, np, tf
from cnnkit.core.progress import Progress
from cnnkit.core.spec import AUTO
from cnnkit.core.text import counted, some
from cnnkit.data.augmentations.chain import Chain
from cnnkit.data.feeding import batches as feeding
from cnnkit.inspection.first_config.duration import roughly
from cnnkit.models import freezing
from cnnkit.models.base import Network
from cnnkit.models.freezing import PlannedStage
from cnnkit.optimization.losses import Loss
from cnnkit.optimization.optimizers.adam import Adam
from cnnkit.training import advice, gradients, origin, start_checks
from cnnkit.training.computing import Computing
from cnnkit.training.data import TrainingData
from cnnkit.training.model import Learner
from cnnkit.training.steps import Steps
from cnnkit.training.train import network_of

Verdict = Literal["good", "careful", "failed"]

UPDATES = 120
"""On one batch, at the most."""

PATIENCE = 60.0
"""Seconds of them, at the most."""

LEFT = 0.1
"""Share of its first loss that a batch has left when it counts as learnt by heart."""

BRISK = Adam(learning_rate=3e-3)
"""What tries it where the optimizer of the config does not do it."""

SLOWLY = 0.9
"""Share of its first loss below which a batch is learnt, though not by heart."""

TIMED = 2.0
"""Seconds of updates by which the time of an epoch is told."""


@dataclass(frozen=True)
class Check:
    """Something that was looked at.

    Attributes:
        name: What.
        verdict: Whether it is as it should be.
        message: What was found, in a sentence.
        figures: The numbers in it, for programs.
    """

    name: str
    verdict: Verdict
    message: str
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Preflight:
    """What was found before a training."""

    checks: tuple[Check, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst that was found."""
        found = {check.verdict for check in self.checks}
        return "failed" if "failed" in found else "careful" if "careful" in found else "good"

    def as_json(self) -> dict[str, Any]:
        """The document of `train --preflight --json`."""
        return {"preflight": {"verdict": self.verdict, "checks": [asdict(check) for check in self.checks]}}


@cache.in_use(make=True)
def preflight(experiment: Experiment, progress: Progress | None = None) -> Preflight:
    """Looks at data, network, first updates and one batch.

    Args:
        experiment: What would be done.
        progress: Is told how far it is.

    Raises:
        DataError: The images are not what they should be, or the doctor finds an error in them.
        UsageError: A stage names a layer that the network lacks.
        TrainingError: The network does not fit in memory.
    """
    progress = progress or Progress()
    data = TrainingData.of(experiment, progress)
    asked, data = data.experiment, replace(data, experiment=data.experiment.with_usual_rate())
    with data.with_workers(progress) as data:
        checks = [*_of_config(data), *_of_data(data)]
        network, _ = network_of(data.experiment, data.preprocessing.shape, data.images.index.classes, progress)
        plan = data.experiment.plan()
        by_steps = [(number, stage) for number, stage in enumerate(plan, start=1) if stage.epochs]
        if not by_steps:
            checks.append(Check("updates", "good", "none are made: the classifier is fitted, which has an optimum"))
            return Preflight(tuple(checks))
        checks += _rate_to_find(asked, data.experiment)
        try:
            with progress.task("trying one batch", UPDATES) as advance, data.images.errors_as_raised():
                checks += Trial(data, network, *by_steps[0]).checks(advance)
        except (tf.errors.ResourceExhaustedError, MemoryError):
            short = "there is not enough for an update; try a smaller data.batch_size or data.image_size"
            checks.append(Check("memory", "failed", short))
    return Preflight(tuple(checks))


def _rate_to_find(asked: Experiment, tried: Experiment) -> Iterator[Check]:
    """What is tried in place of a learning rate that is found in the training; nothing where it is set."""
    if asked.train.optimizer and asked.train.optimizer.learning_rate == AUTO and tried.train.optimizer:
        rate = float(tried.train.optimizer.learning_rate)
        text = f"it is found when the training begins (`cnnkit lr` finds it now); here {rate:g} is tried"
        yield Check("learning rate", "good", text, {"learning_rate": rate})


def _of_config(data: TrainingData) -> Iterator[Check]:
    """What the rules of caution say."""
    yield from (Check("config", "careful", str(problem)) for problem in data.careful)


def _of_data(data: TrainingData) -> Iterator[Check]:
    """What the doctor says; errors have ended it before."""
    found = [finding.message for finding in data.findings if finding.severity == "warning"]
    yield from (Check("data", "careful", message) for message in found)
    if not found:
        images = counted(len(data.images.index), "image")
        yield Check("data", "good", f"nothing is wrong with {images} of {len(data.images.index.classes)} classes")


class Trial:
    """The updates of a preflight, on a network that is thrown away afterwards."""

    def __init__(self, data: TrainingData, network: Network, number: int, stage: PlannedStage):
        """Prepares them.

        Args:
            data: What would be trained on.
            network: With the weights that the training would start from.
            number: Of the first stage that makes updates, from 1.
            stage: That stage.
        """
        self.data, self.experiment, self.number, self.stage = data, data.experiment, number, stage
        self.staged = freezing.apply(self.experiment.model, network, stage)
        self.computing = Computing.of(self.experiment.train, network.model)
        self.learner = Learner(network.model, network.auxiliary, self.experiment.train.loss)
        chain = Chain(self.experiment.augment, self.experiment.seed)
        self.batches = feeding.TrainBatches(data.images, data.training, chain, self.experiment.data.batch_size)
        self.start = [variable.numpy() for variable in self.learner.all.variables]

    def checks(self, advance: Callable[[int], None]) -> Iterator[Check]:
        """All of them."""
        if not self.learner.trainable_variables:
            yield Check("gradients", "failed", "there is nothing to train: all layers are frozen")
            return
        memory = start_checks.memory_line(self.learner, self.batches, self.experiment)
        yield Check("memory", "careful" if memory else "good", memory or "what training takes is free, by an estimate")
        sound = True
        for check in self._first_updates():
            sound = sound and check.verdict != "failed"
            yield check
        if sound:
            yield self._by_heart(advance)

    def _steps(self, optimizer: Any, batches: int) -> Any:
        for variable, value in zip(self.learner.all.variables, self.start, strict=True):
            variable.assign(value)
        steps = Steps.of(self.experiment.train, self.learner, optimizer, batches, self.computing)
        steps.reset()
        return steps

    def _optimizer(self) -> Any:
        """That of the stage, at its full rate from the start."""
        train = self.experiment.train
        assert train.optimizer and isinstance(self.stage.learning_rate, float)
        return train.optimizer.build(self.stage.learning_rate, self.staged.rates)

    def _first_updates(self) -> Iterator[Check]:
        """Some updates as the training makes them: the loss at the start, gradients, time."""
        steps = self._steps(self._optimizer(), feeding.steps(self.batches.count, self.batches.batch_size))
        batches, updates = iter(self.batches.dataset(2)), steps.updates
        outcome = steps.train(batches, 0, 1)
        if not outcome.sound:
            where = self._where(min(steps.accumulated, steps.batches))
            yield Check("loss at the start", "failed", f"it is NaN or infinite{where}")
            return
        loss, guessing = steps.metrics()["loss"], start_checks.guessing(self.experiment.train.loss, self.batches)
        line = start_checks.far_above(loss, guessing, self.learner, self.experiment)
        figures = {"loss": loss, "guessing": guessing}
        good = f"{loss:.4g}; guessing has {guessing:.4g}"
        yield Check("loss at the start", "careful" if line else "good", line or good, figures)

        began, done = time.perf_counter(), 0
        while done < updates - 1 and (done < gradients.ENOUGH or time.perf_counter() - began < TIMED) and outcome.sound:
            outcome = steps.train(batches, done + 1, 1)
            done += outcome.done
        seconds = (time.perf_counter() - began) / max(done, 1)
        yield from self._of_gradients(steps, outcome.sound)
        if done:
            yield self._of_time(seconds * updates)

    def _where(self, count: int) -> str:
        """Where in the first so many batches, which went through the network just now, that begins, and its images."""
        for number, batch in enumerate(self.batches.dataset(1).take(count)):
            if found := origin.in_training(self.learner, batch, passes=count - number):
                return f", {found.message}{_some_names(self.batches.names(0, number), found.images)}"
        return ""

    def _of_gradients(self, steps: Any, sound: bool) -> Iterator[Check]:
        if not sound:
            tried = advice.numbered(list(advice.against_divergence(self.experiment, self.number, first_epoch=True)))
            yield Check("gradients", "failed", f"the training diverges within its first updates; try {tried}")
            return
        layers = gradients.strengths(steps)
        judged = list(gradients.judged(layers))
        yield from (Check("gradients", "failed" if kind == "none" else "careful", text) for kind, text in judged)
        if not judged:
            yield Check("gradients", "good", f"they reach {counted(len(layers), 'layer')} with weights that learn")

    def _of_time(self, epoch: float) -> Check:
        epochs = sum(stage.epochs or 0 for stage in self.experiment.plan())
        text = f"{counted(epochs, 'epoch')} take {roughly(epoch * epochs)}, one {epoch:.3g} s, validation not counted"
        return Check("time", "good", text, {"seconds_an_epoch": round(epoch, 3), "epochs": epochs})

    def _by_heart(self, advance: Callable[[int], None]) -> Check:
        """Whether one batch is learnt by heart, and if not, why probably."""
        rate, optimizer = self.stage.learning_rate, self.experiment.train.optimizer
        assert rate and optimizer
        batch = next(iter(_not_augmented(self.batches).dataset(1)))
        learnt, images = self._learn(self._optimizer(), batch, advance), counted(len(batch[0]), "image")
        figures = {"updates": learnt.updates, "accuracy": learnt.accuracy}
        if learnt.by_heart:
            text = f"{images} are learnt by heart in {counted(learnt.updates, 'update')}"
            return Check("one batch", "good", text, figures)
        said = (
            f"{images} are not learnt by heart: {optimizer.name} at {rate:g} brings the loss from {learnt.first:.3g} "
            f"to {learnt.last:.3g} and accuracy to {learnt.accuracy:.2f} in {counted(learnt.updates, 'update')}"
        )
        other = f"{BRISK.name} at {BRISK.learning_rate:g}"
        if self._learn(BRISK.build(BRISK.learning_rate, self.staged.rates), batch, advance).by_heart:
            slowly = learnt.last < SLOWLY * learnt.first  # as a fine-tuning does, for which that may be right
            text = f"{other} does it, so it is the optimizer or the learning rate: try these, or `cnnkit lr`"
            return Check("one batch", "careful" if slowly else "failed", f"{said}; {text}", figures)
        reasons = advice.numbered(list(self._reasons(batch)))
        return Check("one batch", "failed", f"{said}, and {other} does no better. Probable reasons: {reasons}", figures)

    def _reasons(self, batch: Any) -> Iterator[str]:
        """Why a batch may not be learnt by heart, the likeliest first."""
        if self.staged.backbone_frozen:
            yield "the frozen layers make too much alike of the images (other weights, or let more layers learn)"
        if copies := len(batch[0]) - len(np.unique(np.asarray(batch[0]).reshape(len(batch[0]), -1), axis=0)):
            yield f"{counted(copies, 'image')} of it are copies of others, perhaps with another label (`cnnkit data`)"
        dropped = [layer.name for layer in self.learner.model.layers if "Dropout" in type(layer).__name__]
        if dropped:
            yield f"dropout ({len(dropped)} layers) takes too much away"
        yield "the network is too small, or its gradients do not reach its first layers"

    def _learn(self, optimizer: Any, batch: Any, advance: Callable[[int], None]) -> Learnt:
        images, labels, weights = batch
        alike = (images, labels, tf.ones_like(weights))
        batches = iter(tf.data.Dataset.from_tensors(alike).repeat())
        steps, began = self._steps(optimizer, 1), time.perf_counter()
        least = _least(self.experiment.train.loss, labels)
        first = last = accuracy = 0.0
        for update in range(1, UPDATES + 1):
            steps.reset()
            if not steps.train(batches, 0, 1).sound:
                return Learnt(False, update, first, float("nan"), accuracy)
            metrics = steps.metrics()
            last, accuracy = metrics["loss"], metrics["accuracy"]
            first = first if update > 1 else last
            advance(1)
            if accuracy == 1 and last - least <= LEFT * (first - least):
                return Learnt(True, update, first, last, accuracy)
            if time.perf_counter() - began > PATIENCE:
                break
        return Learnt(False, update, first, last, accuracy)


@dataclass(frozen=True)
class Learnt:
    """How far a batch was learnt by heart, by the loss of the first update and of the last."""

    by_heart: bool
    updates: int
    first: float
    last: float
    accuracy: float


def _least(loss: Loss, labels: Any) -> float:
    """The least loss that labels allow, which smoothing holds above 0."""
    smoothing = getattr(loss, "label_smoothing", 0.0)
    if not smoothing:
        return 0.0
    labels = np.asarray(labels, np.float64)
    smoothed = np.clip(labels * (1 - smoothing) + smoothing / labels.shape[1], 1e-9, 1)
    logits = np.log(smoothed)
    if loss.logits(labels.shape[1]) == 1:
        logits = logits[:, 1:] - logits[:, :1]
    return float(np.mean(keras.ops.convert_to_numpy(loss(labels.astype(np.float32), logits.astype(np.float32)))))


def _not_augmented(batches: feeding.TrainBatches) -> feeding.TrainBatches:
    """The same batches of images that are not augmented."""
    plain = copy(batches)
    plain.chain, plain.at_once = Chain((), batches.chain.seed), 1
    return plain


def _some_names(names: list[str], of: tuple[int, ...]) -> str:
    """Which images of a batch it happened to."""
    return f" ({some([names[i] for i in of])})" if of else ""
