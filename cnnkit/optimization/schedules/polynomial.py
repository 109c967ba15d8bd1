"""A rate that falls along a power of what is left of the training; a straight line is the first power."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from cnnkit.optimization.schedules.base import End, Schedule, Span


class Polynomial(Schedule):
    """A straight line down to the end, or a power of it (Liu et al. 2015, arXiv:1506.04579)."""

    name: Literal["polynomial"] = "polynomial"
    power: Annotated[float, Field(gt=0, le=10)] = 1.0
    """1 is a straight line; with more the rate falls sooner."""
    end: End = 0.0
    """Share of the highest rate that is left at the end."""

    ends: ClassVar[bool] = True

    def share(self, update: Any, span: Span, maths: Any) -> Any:
        """The power of what is left."""
        return self.end + (1 - self.end) * maths.maximum(1.0 - span.progress(update), 0.0) ** self.power
