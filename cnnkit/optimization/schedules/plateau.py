"""A rate that falls when nothing gets better any more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.spec import Count, NotNegative
from cnnkit.core.text import counted
from cnnkit.optimization.schedules.base import End, Factor, Schedule, Span
from cnnkit.optimization.training_metrics import Monitor
from cnnkit.optimization.watching import on_training_images, rare_gain


class Plateau(Schedule):
    """The same rate until what is watched stops getting better, then times a factor, and so on."""

    name: Literal["plateau"] = "plateau"
    monitor: Monitor = "val_loss"
    """What should get better."""
    patience: Count = 5
    """Epochs without a new best after which the rate falls; the count begins anew at each fall."""
    factor: Factor = 0.1
    """What the rate is multiplied by then."""
    min_delta: NotNegative = 0.0
    """By how much it must get better to count."""
    end: End = 0.0
    """Share of the highest rate below which it does not fall."""

    ends: ClassVar[bool] = False
    drawn: ClassVar[str] = "no new best from a third on"

    def careful(self, given: Given) -> Iterator[Problem]:
        """What gets better while the network learns by heart, and a gain that hardly an epoch brings."""
        yield from super().careful(given)
        yield from on_training_images(self.monitor, "the rate stays while the network learns them by heart")
        yield from rare_gain(self.min_delta)

    def idle(self, epochs: int) -> Iterator[Problem]:
        """A patience that nothing ends."""
        if self.patience >= epochs:
            patience = counted(self.patience, "epoch")
            message = f"{patience} without a new best never come in {counted(epochs, 'epoch')}, so the rate never falls"
            yield Problem(message, key="patience")

    def lowered(self, reduction: float) -> float:
        """What the rate is multiplied by after a further fall."""
        return max(self.end, reduction * self.factor)

    def share(self, update: Any, span: Span, maths: Any) -> Any:
        """All of it; what has been taken off is known to who trains."""
        return maths.ones_like(update)

    def course(self, learning_rate: float, per_epoch: int, epochs: int) -> Any:
        """As it goes where nothing gets better after the first third."""
        rates = super().course(learning_rate, per_epoch, epochs)
        reduction = 1.0
        for fall in range(epochs // 3 + self.patience, epochs, self.patience):
            reduction = self.lowered(reduction)
            rates[fall * per_epoch : (fall + self.patience) * per_epoch] *= reduction
        return rates
