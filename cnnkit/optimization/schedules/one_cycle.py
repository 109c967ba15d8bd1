"""One rise and one fall (Smith and Topin 2018)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.spec import Fraction
from cnnkit.optimization.schedules.base import End, Schedule, Span, half_cosine


class OneCycle(Schedule):
    """Up to a rate that others could not bear, and down to nearly nothing (Smith and Topin 2018, arXiv:1708.07120).

    Both go along half a cosine; the momentum stays as it is.
    """

    name: Literal["one_cycle"] = "one_cycle"
    rise: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """Share of the training in which the rate rises."""
    start: Fraction = 0.04
    """Share of the highest rate that it begins with."""
    end: End = 0.0
    """Share of the highest rate that is left at the end."""

    ends: ClassVar[bool] = True

    def careful(self, given: Given) -> Iterator[Problem]:
        """Two rises."""
        yield from super().careful(given)
        if self.warmup_epochs:
            message = f"comes before the rise of one_cycle, and leads to {self.start:g} of the highest rate only"
            yield Problem(f"{message}; leave it out, or set rise", key="warmup_epochs")

    def share(self, update: Any, span: Span, maths: Any) -> Any:
        """That of the rise, then that of the fall."""
        progress = maths.clip(span.progress(update), 0.0, 1.0)
        rising = half_cosine(progress / self.rise, self.start, 1.0, maths)
        falling = half_cosine((progress - self.rise) / (1 - self.rise), 1.0, self.end, maths)
        return maths.where(progress < self.rise, rising, falling)
