"""A rate that falls by the same share in every epoch."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from cnnkit.optimization.schedules.base import Factor, Schedule, Span


class Exponential(Schedule):
    """Times a factor in every epoch, update by update."""

    name: Literal["exponential"] = "exponential"
    factor: Factor = 0.9
    """What is left of the rate after an epoch; 0.9 leaves a third after ten."""

    ends: ClassVar[bool] = False

    def share(self, update: Any, span: Span, maths: Any) -> Any:
        """The factor to the power of the epochs behind the warm-up."""
        return self.factor ** ((update - span.warmup) / span.per_epoch)
