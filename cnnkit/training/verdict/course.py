"""The course of a training: what is known of one that is over, and a remark on it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from cnnkit.config.experiment import Experiment
from cnnkit.core.lazy import np
from cnnkit.data.augmentations.base import Mixing
from cnnkit.evaluation.baseline import Baseline
from cnnkit.inspection.doctor import faint
from cnnkit.models.base import Network
from cnnkit.models.freezing import PlannedStage
from cnnkit.optimization.losses import Loss
from cnnkit.runs.run import Run
from cnnkit.training.data import TrainingData
from cnnkit.training.verdict.curve import Curve

BETTER = 3.0
"""Standard deviations by which an accuracy must be above that of a guess, not to be one."""

OF_THE_LOSS, SPREAD = 0.03, 0.5
"""Share of the loss of a guess by which a loss must be below it, not to be one; and of few images so many standard
errors, where the loss of one deviates by as much as the mean."""

LITTLE = 0.02
"""Share of the loss of a guess that does not matter: what is less than that above 0 is as good as right."""


def rounded(rate: float) -> str:
    """A learning rate to two digits, as one writes it: `0.00033`, `1000`."""
    return f"{float(f'{rate:.2g}'):g}"


@dataclass(frozen=True)
class Remark:
    """Something that the curves tell.

    Attributes:
        kind: What sort of thing, a word for programs: `overfits`, `at_chance`.
        message: What was seen, with the figures.
        advice: What to do; empty where there is nothing to do.
        settings: What to set for it, `KEY=VALUE` each; behind the advice, unless they stand in it.
    """

    kind: str
    message: str
    advice: str = ""
    settings: tuple[str, ...] = ()

    def line(self) -> str:
        """It in a line, as people read it."""
        words = "; ".join(part for part in (f"training: {self.message}", self.advice) if part)
        behind = [option for setting in self.settings if (option := option_of(setting)) not in words]
        return f"{words}: {' '.join(behind)}" if behind else words

    def facts(self) -> dict[str, Any]:
        """It as it stands in the record of a run."""
        return asdict(self)


def option_of(setting: str) -> str:
    """A setting as it is typed on a command line."""
    return f"--set {shlex.quote(setting)}"


@dataclass(frozen=True)
class Guess:
    """What is reached on some images without looking at them, by always giving the shares of the classes in training.

    Attributes:
        loss: The mean loss.
        accuracy: The share that is right where always the same class is said, the best one.
        images: How many images.
        classes: How many classes.
    """

    loss: float
    accuracy: float
    images: int
    classes: int

    @classmethod
    def of(cls, loss: Loss, counts: Sequence[int], answer: Sequence[float], weights: Sequence[float] = ()) -> Guess:
        """A guess on images of some classes.

        Args:
            loss: Of the training.
            counts: How many images of each class.
            answer: What the images of each class that trains count for: the answer is their shares.
            weights: What all images of each class count for in the loss; as many as they are if left out.
        """
        shares = np.maximum(np.asarray(answer, np.float64) / sum(answer), 1e-7)
        smoothing = getattr(loss, "label_smoothing", 0.0)
        losses = _losses(loss, (1 - smoothing) * shares / shares.sum() + smoothing / len(counts))
        total = sum(counts)
        return cls(float(np.average(losses, weights=weights or counts)), max(counts) / total, total, len(counts))

    def with_auxiliary(self, weights: float) -> Guess:
        """The same where auxiliary classifiers, whose losses have these weights together, guess too."""
        return replace(self, loss=self.loss * (1 + weights))

    def beaten_by_loss(self, loss: float) -> bool:
        """Whether a loss is less than that of a guess, beyond chance."""
        return bool(loss < (1 - max(OF_THE_LOSS, SPREAD / self.images**0.5)) * self.loss)

    def beaten_by(self, accuracy: float, deviations: float = BETTER) -> bool:
        """Whether an accuracy is more than a guess, beyond chance."""
        deviation = (self.accuracy * (1 - self.accuracy) / self.images) ** 0.5
        return bool(accuracy > self.accuracy + max(deviations * deviation, 0.01))


def _simpler(test: Mapping[str, Any]) -> str:
    """The best of the baseline, if it is surely better than always saying one class."""
    found = test.get(Baseline.name) or {}
    best = found.get("best")
    if best in (None, "majority") or found[best]["accuracy_interval"][0] <= found["majority"]["accuracy_interval"][1]:
        return ""
    return f"{best.replace('_', ' ')} on small pixels reaches {found[best]['accuracy']:.4f} of the test images"


def _losses(loss: Loss, shares: Any) -> Any:
    """The loss of an image of each class where the answer is these shares, float64 (classes,)."""
    logits = np.log(shares)
    if loss.logits(len(shares)) == 1:
        logits = logits[1:] - logits[:1]
    count = len(shares)
    found = loss(np.eye(count, dtype=np.float32), np.tile(logits, (count, 1)).astype(np.float32))
    return np.asarray(found, np.float64)


@dataclass(frozen=True)
class Part:
    """The epochs of a stage of the training that took steps.

    Attributes:
        number: Of the stage, from 1.
        stage: What was planned.
        epochs: As recorded, all with finite losses.
    """

    number: int
    stage: PlannedStage
    epochs: Sequence[Mapping[str, Any]]

    def __len__(self) -> int:
        return len(self.epochs)

    def curve(self, name: str) -> Curve:
        """A metric over its epochs."""
        return Curve(np.asarray([epoch[name] for epoch in self.epochs], np.float64))

    @cached_property
    def loss(self) -> Curve:
        """Of training."""
        return self.curve("loss")

    @cached_property
    def accuracy(self) -> Curve:
        """Of training."""
        return self.curve("accuracy")

    @cached_property
    def val_loss(self) -> Curve:
        """Of validation."""
        return self.curve("val_loss")

    @cached_property
    def val_accuracy(self) -> Curve:
        """Of validation."""
        return self.curve("val_accuracy")

    @cached_property
    def rates(self) -> Any:
        """The learning rate at the end of each epoch, float64 (n,)."""
        return np.asarray([epoch["learning_rate"] for epoch in self.epochs], np.float64)

    @property
    def rate(self) -> float:
        """The learning rate that was asked for, the highest where a schedule changes it; else what was recorded."""
        asked = self.stage.learning_rate
        return float(asked) if isinstance(asked, int | float) else float(max(self.rates))

    @property
    def stopped(self) -> bool:
        """Whether it ended before its last epoch, as early stopping does."""
        return len(self) < (self.stage.epochs or 0)

    def at(self, place: int) -> int:
        """The number of the epoch at a place."""
        return int(self.epochs[place]["epoch"])


@dataclass(frozen=True)
class Course:
    """A training that is over.

    Attributes:
        epochs: What is recorded of each.
        experiment: What was done; it is complete.
        written: The same as it was asked for, to which what should be set is added.
        kept: The number of the epoch whose weights are kept.
        trained: A guess on the images that train, as they are balanced.
        validated: A guess on the images of validation.
        parameters: Of the network.
        depth: How many of its layers have kernels.
        momentum: That of the moving statistics of its batch normalisation; None where it has none.
        faint: That the images are nearly the same everywhere, in words; empty where they are not.
        simpler: The simple method that learns these labels better than a guess, in words; empty where none is known.
        validation: What `evaluate` found of validation; None if it is not known.
        test: What it found of the test split, with the baseline; None if it is not known.
    """

    epochs: Sequence[Mapping[str, Any]]
    experiment: Experiment
    written: Experiment
    kept: int
    trained: Guess
    validated: Guess
    parameters: int = 0
    depth: int = 0
    momentum: float | None = None
    faint: str = ""
    simpler: str = ""
    validation: Mapping[str, Any] | None = None
    test: Mapping[str, Any] | None = None

    @classmethod
    def of(
        cls,
        written: Experiment,
        data: TrainingData,
        network: Network,
        run: Run,
        kept: int,
        found: Mapping[str, Any],
        test: Mapping[str, Any],
    ) -> Course:
        """From what trained.

        Args:
            written: The experiment as it was asked for.
            data: What it was trained on.
            network: What was trained.
            run: Its record.
            kept: The number of the epoch whose weights are kept.
            found: What `evaluate` found of validation.
            test: What it found of the test split, with the baseline.
        """
        facts, loss, classes = data.facts(), data.experiment.train.loss, data.images.index.classes
        counts = {split: list(of_class.values()) for split, of_class in facts["images_per_class"].items()}
        training = data.training
        weights = np.bincount(training.labels, training.weights, len(classes)).tolist()
        trained = training.counts(len(classes)).tolist()
        # Features are balanced in the training only, and count the same then.
        after = list(run.provenance().get("balance", {}).get("after", {}).values()) or trained
        if after != trained:
            trained = weights = after
        return cls(
            epochs=run.history(),
            experiment=data.experiment,
            written=written,
            kept=kept,
            trained=Guess.of(loss, trained, weights, weights).with_auxiliary(sum(w for _, w in network.auxiliary)),
            validated=Guess.of(loss, counts["validation"], weights),
            parameters=network.model.count_params(),
            depth=sum(len(variable.shape) > 1 for variable in network.model.trainable_variables),
            momentum=max(
                (layer.momentum for layer in network.model.layers if hasattr(layer, "moving_mean")), default=None
            ),
            faint=next((finding.message for finding in data.findings if finding.kind == faint.KIND), ""),
            validation=found,
            test=test,
            simpler=_simpler(test),
        )

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """Its stages, but for fitted classifiers."""
        found = []
        for number, stage in enumerate(self.experiment.plan(), start=1):
            epochs = [epoch for epoch in self.epochs if epoch.get("stage", 1) == number and epoch["step"]]
            if epochs and all(None not in (epoch["loss"], epoch["val_loss"]) for epoch in epochs):
                found.append(Part(number, stage, epochs))
        return tuple(found)

    @property
    def normalised(self) -> bool:
        """Whether the network has batch normalisation."""
        return self.momentum is not None

    @property
    def only_classifier(self) -> bool:
        """Whether nothing but the classifier learnt, on features that were learnt elsewhere."""
        return self.experiment.train.freezes_backbone(self.experiment.model.pretrained)

    @property
    def mixes(self) -> bool:
        """Whether training images are mixed, so that what is measured on them is not as in validation."""
        return any(isinstance(augmentation, Mixing) for augmentation in self.experiment.augment)

    def of_stage(self, part: Part) -> str:
        """`stage 2 ` where there are several."""
        return f"stage {part.number} " if len(self.experiment.plan()) > 1 else ""

    def in_stage(self, part: Part) -> str:
        """`in stage 2 ` where there are several."""
        return f"in {name}" if (name := self.of_stage(part)) else ""

    @property
    def rate_scale(self) -> float:
        """What training multiplies the rates of the config by."""
        return self.experiment.train.rate_scale(self.experiment.data.batch_size)

    def rate_of(self, part: Part) -> str:
        """The learning rate of a stage, in words."""
        scaled = (
            "" if self.rate_scale == 1 else f" (with images an update; {rounded(part.rate / self.rate_scale)} is set)"
        )
        return f"{rounded(part.rate)}{scaled}"

    def rate_setting(self, part: Part, rate: float) -> str:
        """The setting of a learning rate for a stage: what it has to be for training to have this one."""
        rate /= self.rate_scale
        stages = self.written.train.stages
        if stages and stages[part.number - 1].learning_rate:
            return f"train.stages.{part.number - 1}.learning_rate={rounded(rate)}"
        return f"train.optimizer.learning_rate={rounded(rate)}"

    @property
    def keeps_least_loss(self) -> bool:
        """Whether the weights kept are those of the least loss of validation, as asked for or as it happens."""
        losses = {e["epoch"]: e["val_loss"] for e in self.epochs if e["step"] and e["val_loss"] is not None}
        least = bool(losses) and losses.get(self.kept) == min(losses.values())
        return least or self.experiment.train.checkpoint.monitor == "val_loss"

    def epochs_setting(self, part: Part, epochs: int) -> str:
        """The setting of how many epochs a stage has."""
        if self.written.train.stages:
            return f"train.stages.{part.number - 1}.epochs={epochs}"
        return f"train.epochs={epochs}"
