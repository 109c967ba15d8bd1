"""The section `train`: how the network is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field

from cnnkit.core.spec import Count, NotNegative, Spec
from cnnkit.models.freezing import BACKBONE, PlannedStage, Stage
from cnnkit.optimization.losses import AnyLoss, CrossEntropy
from cnnkit.optimization.optimizers import Adam, AnyOptimizer
from cnnkit.optimization.schedules import AnySchedule, Cosine
from cnnkit.optimization.training_metrics import Monitor

EPOCHS = 30
"""How long a training is if nobody says."""

FINE_TUNING = 1e-4
"""Adam's rate behind a fitted classifier, if nobody says: what was learnt before is to be bent, not broken."""


class EarlyStopping(Spec):
    """Ends training when it does not get better any more."""

    monitor: Monitor = "val_loss"
    """What should get better."""
    patience: Count = 8
    """Epochs without a new best after which training ends."""
    min_delta: NotNegative = 0.0
    """By how much it must get better to count."""


class Checkpoint(Spec):
    """Which epoch's weights are kept."""

    monitor: Monitor = "val_accuracy"
    """The weights of the epoch in which this is best are kept; of equal ones the first."""


class Train(Spec):
    """How the network is trained."""

    filled_in: ClassVar[Mapping[str, Spec]] = {"optimizer": Adam(), "schedule": Cosine()}

    epochs: Count | None = None
    """How often every training image is shown; 30 if left out. Stages have epochs of their own, and a classifier that
    is fitted has none."""
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)] | None = None
    """Parts of the training with other layers frozen; if left out all learns, or only the classifier of a pretrained
    network. Optimizer, schedule and early stopping begin anew in each; a stage that ends worse than it began is
    taken back."""
    loss: AnyLoss = CrossEntropy()
    """The loss: what training makes as small as it can."""
    optimizer: AnyOptimizer | None = None
    """How the weights follow the gradient. If left out Adam; but where only the classifier of a pretrained network
    learns, and nothing is augmented, none: the classifier is fitted, which is the optimum and takes seconds."""
    schedule: AnySchedule | None = None
    """How the learning rate goes over the training; cosine if left out."""
    early_stopping: EarlyStopping | None = None
    """When to end before the last epoch; never if left out."""
    checkpoint: Checkpoint = Checkpoint()
    """Which epoch is kept, evaluated and used."""

    def completed(self, pretrained: bool, unchanging: bool) -> Train:
        """The same with all filled in that hangs on the rest of the config.

        Args:
            pretrained: Whether the features of the network were learnt already.
            unchanging: Whether a frozen backbone makes the same of an image in every epoch.
        """
        stages = self._stages(pretrained, unchanging)
        update: dict[str, Any] = {}
        if optimizer := self.optimizer_of(stages):
            update = {"optimizer": optimizer, "schedule": self.schedule or Cosine()}
        if self.stages or pretrained:
            usual = _batch_norm(pretrained)
            update["stages"] = tuple(
                stage if stage.freezes_backbone else stage.model_copy(update={"batch_norm": stage.batch_norm or usual})
                for stage in stages
            )
        if not self.stages:
            update["epochs"] = None if pretrained else stages[0].epochs
        return self.model_copy(update=update)

    def plan(self, pretrained: bool, unchanging: bool) -> tuple[PlannedStage, ...]:
        """The stages of the training, each with what it inherits filled in; arguments as of `completed`."""
        stages = self._stages(pretrained, unchanging)
        optimizer = self.optimizer_of(stages)
        return tuple(
            PlannedStage(
                **stage.model_dump()
                | {
                    "learning_rate": self._rate(stage, optimizer),
                    "batch_norm": stage.batch_norm or _batch_norm(pretrained),
                }
            )
            for stage in stages
        )

    def freezes_backbone(self, pretrained: bool) -> bool:
        """Whether nothing but the classifier learns, from the beginning to the end."""
        return all(stage.freezes_backbone for stage in self._stages(pretrained, unchanging=False))

    def _stages(self, pretrained: bool, unchanging: bool) -> tuple[Stage, ...]:
        """Those of the config; else one, which leaves features that were learnt already as they are."""
        if self.stages:
            return self.stages
        fitted = pretrained and unchanging and self.optimizer is None and self.epochs is None
        return (Stage(epochs=None if fitted else self.epochs or EPOCHS, freeze=BACKBONE if pretrained else None),)

    def optimizer_of(self, stages: Sequence[Stage]) -> AnyOptimizer | None:
        """That of the config; else Adam, slowly where it goes on from a fitted classifier; None if no stage has steps.

        Args:
            stages: All of the training.
        """
        fitted = [stage.fitted for stage in stages]
        if all(fitted):
            return None
        return self.optimizer or (Adam(learning_rate=FINE_TUNING) if any(fitted) else Adam())

    @staticmethod
    def _rate(stage: Stage, optimizer: AnyOptimizer | None) -> float | None:
        return None if stage.fitted or optimizer is None else stage.learning_rate or optimizer.learning_rate


def _batch_norm(pretrained: bool) -> str:
    """What batch normalisation works with unless a stage says."""
    return "inference" if pretrained else "batch"
