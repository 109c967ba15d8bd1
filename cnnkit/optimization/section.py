"""The section `train`: how the network is trained."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cnnkit.core.spec import Count, NotNegative, Spec
from cnnkit.models.freezing import BACKBONE, PlannedStage, Stage
from cnnkit.optimization.losses import AnyLoss, CrossEntropy
from cnnkit.optimization.optimizers import Adam, AnyOptimizer
from cnnkit.optimization.schedules import AnySchedule, Cosine
from cnnkit.optimization.training_metrics import Monitor

EPOCHS = 30
"""How long a training is if nobody says."""


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

    epochs: Count | None = None
    """How often every training image is shown; 30 if left out. Stages have epochs of their own."""
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)] | None = None
    """Parts of the training with other layers frozen; if left out all learns, or only the classifier of a pretrained
    network. Optimizer, schedule and early stopping begin anew in each."""
    loss: AnyLoss = CrossEntropy()
    """The loss: what training makes as small as it can."""
    optimizer: AnyOptimizer = Adam()
    """How the weights follow the gradient."""
    schedule: AnySchedule = Cosine()
    """How the learning rate goes over the training."""
    early_stopping: EarlyStopping | None = None
    """When to end before the last epoch; never if left out."""
    checkpoint: Checkpoint = Checkpoint()
    """Which epoch is kept, evaluated and used."""

    def completed(self, pretrained: bool) -> Train:
        """The same with its epochs filled in, or for a pretrained network with the stage that is its default."""
        if self.stages:
            return self
        [stage] = stages = self._stages(pretrained)
        return self.model_copy(update={"stages": stages, "epochs": None} if pretrained else {"epochs": stage.epochs})

    def plan(self, pretrained: bool) -> tuple[PlannedStage, ...]:
        """The stages of the training, each with what it inherits filled in."""
        rate = self.optimizer.learning_rate
        return tuple(
            PlannedStage(**stage.model_dump() | {"learning_rate": stage.learning_rate or rate})
            for stage in self._stages(pretrained)
        )

    def freezes_backbone(self, pretrained: bool) -> bool:
        """Whether nothing but the classifier learns, from the beginning to the end."""
        return all(stage.freezes_backbone for stage in self._stages(pretrained))

    def _stages(self, pretrained: bool) -> tuple[Stage, ...]:
        """Those of the config; else one, which leaves features that were learnt already as they are."""
        return self.stages or (Stage(epochs=self.epochs or EPOCHS, freeze=BACKBONE if pretrained else None),)
