"""What all schedules have in common: a formula over the updates of a stage, and a warm-up before it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field

from cnnkit.core.errors import Problem
from cnnkit.core.lazy import np
from cnnkit.core.spec import NotNegative, Spec

Factor = Annotated[float, Field(gt=0, lt=1)]
"""What a rate is multiplied by to make it smaller."""

End = Annotated[float, Field(ge=0, lt=1)]
"""Share of the highest rate that is left."""


@dataclass(frozen=True)
class Span:
    """How long a stage of a training is, in updates of the weights.

    Attributes:
        per_epoch: Those of an epoch.
        epochs: How many it has.
        warmup: Those over which the rate rises first.
    """

    per_epoch: int
    epochs: int
    warmup: int = 0

    @property
    def updates(self) -> int:
        """All of them."""
        return self.per_epoch * self.epochs

    def progress(self, update: Any) -> Any:
        """Which share of what is behind the warm-up is over, from 0 to 1."""
        return (update - self.warmup) / max(1, self.updates - self.warmup)

    def of(self, epochs: float) -> int:
        """The whole number of updates that is nearest to a number of epochs; one at least."""
        return max(1, round(epochs * self.per_epoch))


class Schedule(Spec):
    """How the learning rate goes over the updates of a training; it is set anew at every one."""

    warmup_epochs: NotNegative = 0.0
    """Epochs over which the rate rises in a straight line from 0 (Goyal et al. 2017, arXiv:1706.02677); may be 0.5."""

    drawn: ClassVar[str] = ""
    """What `course` supposes, where that is not plain."""

    @property
    @abstractmethod
    def ends(self) -> bool:
        """Whether it hangs on how many epochs there are: another number of them is another course from the start."""

    @abstractmethod
    def share(self, update: Any, span: Span, maths: Any) -> Any:
        """Which share of the highest rate an update has, leaving the warm-up aside.

        Args:
            update: Its number within the stage, from 0: float64, a scalar or an array of them.
            span: How long the stage is.
            maths: Has the functions of NumPy for what `update` is: `numpy`, or `keras.ops`.
        """

    def idle(self, epochs: int) -> Iterator[Problem]:
        """What of it never comes in a stage of so many epochs; keys count from this section."""
        return iter(())

    def span(self, per_epoch: int, epochs: int) -> Span:
        """A stage of so many epochs of so many updates, with the warm-up."""
        return Span(per_epoch, epochs, round(self.warmup_epochs * per_epoch))

    def rate(self, highest: float, update: Any, span: Span, maths: Any) -> Any:
        """The learning rate of an update: the warm-up leads from 0 to what the schedule begins with.

        Args:
            highest: The learning rate that is asked for.
            update: As `share` takes it, as are the others.
            span: Likewise.
            maths: Likewise.
        """
        share = self.share(update, span, maths)
        if span.warmup:
            first = float(self.share(np.float64(span.warmup), span, np))
            share = maths.where(update < span.warmup, update * (first / span.warmup), share)
        return highest * share

    def __call__(self, learning_rate: float, per_epoch: int, epochs: int) -> Any:
        """The Keras schedule: from the number of an update to its learning rate, float32.

        Args:
            learning_rate: The highest.
            per_epoch: Updates of an epoch.
            epochs: Those of the stage.
        """
        from cnnkit.optimization.schedules.keras_schedule import KerasSchedule

        return KerasSchedule(self, learning_rate, self.span(per_epoch, epochs))

    def course(self, learning_rate: float, per_epoch: int, epochs: int) -> Any:
        """The rates of all updates, NumPy float64 (updates,), for drawing; arguments as of `__call__`."""
        span = self.span(per_epoch, epochs)
        return self.rate(learning_rate, np.arange(span.updates, dtype=np.float64), span, np)


def half_cosine(progress: Any, first: float, last: float, maths: Any) -> Any:
    """From one value to another along half a cosine, while `progress` goes from 0 to 1."""
    return last + (first - last) * (0.5 + 0.5 * maths.cos(progress * np.pi))
