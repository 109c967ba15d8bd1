"""A rate that falls at even distances."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from cnnkit.core.errors import Problem
from cnnkit.core.spec import Positive
from cnnkit.core.text import counted
from cnnkit.optimization.schedules.base import Factor, Schedule, Span


class Step(Schedule):
    """Times a factor every so many epochs."""

    name: Literal["step"] = "step"
    every_epochs: Positive = 10.0
    """Epochs from one fall to the next; may be 0.5."""
    factor: Factor = 0.1
    """What the rate is multiplied by at each fall."""

    ends: ClassVar[bool] = False

    def idle(self, epochs: int) -> Iterator[Problem]:
        """A first fall behind the end."""
        if self.every_epochs >= epochs:
            message = (
                f"the rate falls after {self.every_epochs:g} epochs, which never come in {counted(epochs, 'epoch')}"
            )
            yield Problem(message, key="every_epochs")

    def share(self, update: Any, span: Span, maths: Any) -> Any:
        """The factor to the power of the falls so far."""
        return self.factor ** maths.floor(update / span.of(self.every_epochs))
