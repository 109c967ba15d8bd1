"""A rate that falls at given epochs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from cnnkit.core.errors import Problem
from cnnkit.core.spec import Positive
from cnnkit.core.text import counted
from cnnkit.optimization.schedules.base import Factor, Schedule, Span

HALF_AND_THREE_QUARTERS = (0.5, 0.75)
"""Shares of the training after which the rate falls if nobody says (He et al. 2016, arXiv:1512.03385, section 4.2)."""


def _rising(epochs: tuple[float, ...]) -> tuple[float, ...]:
    if any(after <= before for before, after in pairwise(epochs)):
        raise ValueError("should be epochs one after the other, each later than the one before")
    return epochs


class MultiStep(Schedule):
    """Times a factor after each of some epochs, as the trainings of most papers before 2017 go."""

    name: Literal["multi_step"] = "multi_step"
    epochs: Annotated[tuple[Positive, ...], Field(min_length=1), AfterValidator(_rising)] | None = None
    """The epochs after which the rate falls, such as [30, 60, 80]; if left out, half and three quarters of all (He et
    al. 2016, arXiv:1512.03385)."""
    factor: Factor = 0.1
    """What the rate is multiplied by at each of them."""

    @property
    def ends(self) -> bool:
        """Where the epochs are shares of the training."""
        return self.epochs is None

    def idle(self, epochs: int) -> Iterator[Problem]:
        """A fall behind the end."""
        for number, epoch in enumerate(self.epochs or ()):
            if epoch >= epochs:
                message = f"the rate falls after epoch {epoch:g}, which never comes in {counted(epochs, 'epoch')}"
                yield Problem(message, key=f"epochs.{number}")

    def share(self, update: Any, span: Span, maths: Any) -> Any:
        """The factor to the power of the falls so far."""
        epochs = self.epochs or [share * span.epochs for share in HALF_AND_THREE_QUARTERS]
        falls = sum(maths.where(update >= span.of(epoch), maths.ones_like(update), 0.0 * update) for epoch in epochs)
        return self.factor**falls
