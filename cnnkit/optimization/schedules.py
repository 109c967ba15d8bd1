"""Learning-rate schedules. The union below is what `train.schedule` may name."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Field

from cnnkit.core.lazy import keras
from cnnkit.core.spec import NotNegative, Spec


class Schedule(Spec):
    """How the learning rate goes over the steps of a training; it is set anew at every step."""

    warmup_epochs: NotNegative = 0.0
    """Epochs over which the rate rises in a straight line from 0 (Goyal et al. 2017, arXiv:1706.02677); may be 0.5."""

    end: ClassVar[float]
    """Share of the highest rate that the last step has; half a cosine leads there."""

    def __call__(self, learning_rate: float, steps_per_epoch: int, epochs: int) -> Any:
        """The Keras schedule: from the number of a step to its learning rate."""
        warmup = round(self.warmup_epochs * steps_per_epoch)
        return keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup else learning_rate,
            decay_steps=max(1, epochs * steps_per_epoch - warmup),
            alpha=self.end,
            warmup_target=learning_rate if warmup else None,
            warmup_steps=warmup,
        )


class Constant(Schedule):
    """The same rate throughout, after the warm-up."""

    end: ClassVar[float] = 1.0

    name: Literal["constant"] = "constant"


class Cosine(Schedule):
    """Half a cosine down to 0 at the end (Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts)."""

    end: ClassVar[float] = 0.0

    name: Literal["cosine"] = "cosine"


AnySchedule: TypeAlias = Annotated[Constant | Cosine, Field(discriminator="name")]
