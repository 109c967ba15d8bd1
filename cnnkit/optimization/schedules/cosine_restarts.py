"""Half cosines one after the other (SGDR)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from cnnkit.core.errors import Problem
from cnnkit.core.lazy import np
from cnnkit.core.spec import Positive
from cnnkit.core.text import counted, percent
from cnnkit.optimization.schedules.base import End, Schedule, Span, half_cosine


class CosineRestarts(Schedule):
    """Half a cosine down, and again from the top (Loshchilov and Hutter 2017, arXiv:1608.03983)."""

    name: Literal["cosine_restarts"] = "cosine_restarts"
    cycle_epochs: Positive = 10.0
    """Epochs of the first cosine, the warm-up among them; T_0 of the paper."""
    growth: Annotated[float, Field(ge=1, le=100)] = 2.0
    """How many times as long each cosine is as the one before; T_mult of the paper."""
    peak_factor: Annotated[float, Field(gt=0, le=1)] = 1.0
    """What the highest rate is multiplied by at each restart."""
    end: End = 0.0
    """Share of its highest rate that is left at the end of a cosine."""

    ends: ClassVar[bool] = False

    def idle(self, epochs: int) -> Iterator[Problem]:
        """No restart, and a training that ends in the middle of a cosine."""
        if self.cycle_epochs >= epochs:
            message = f"the rate restarts after {self.cycle_epochs:g} epochs, which never come in"
            yield Problem(f"{message} {counted(epochs, 'epoch')}", key="cycle_epochs")
            return
        last = np.float64(epochs) * (1 - 1e-9)
        cycle = self._cycle(last, self.cycle_epochs, np)
        begin, end = (float(self._start(number, self.cycle_epochs)) for number in (cycle, cycle + 1))
        left = half_cosine((last - begin) / (end - begin), 1.0, self.end, np)
        if left > max(0.1, 2 * self.end):
            message = (
                f"the last cosine begins after epoch {begin:g} and is cut off at {percent(left)} of its highest rate"
            )
            yield Problem(f"{message}; networks are best at the end of one", key="cycle_epochs")

    def share(self, update: Any, span: Span, maths: Any) -> Any:
        """That of the cosine which the update is in."""
        first = float(span.of(self.cycle_epochs))
        cycle = self._cycle(update, first, maths)
        begin = maths.where(cycle < 0.5, maths.ones_like(update) * span.warmup, self._start(cycle, first))
        progress = (update - begin) / maths.maximum(self._start(cycle + 1, first) - begin, 1.0)
        return half_cosine(maths.clip(progress, 0.0, 1.0), 1.0, self.end, maths) * self.peak_factor**cycle

    def _cycle(self, time: Any, first: float, maths: Any) -> Any:
        """The number of the cosine, from 0, at a time; times are counted as `first`, the length of the first, is."""
        if self.growth == 1:
            return maths.floor(time / first)
        cycle = maths.floor(maths.log(1.0 + time / first * (self.growth - 1)) / math.log(self.growth))
        # A logarithm may be off by a hair at a restart itself.
        cycle = maths.where(time >= self._start(cycle + 1, first), cycle + 1, cycle)
        return maths.where(time < self._start(cycle, first), cycle - 1, cycle)

    def _start(self, cycle: Any, first: float) -> Any:
        """Where a cosine begins."""
        if self.growth == 1:
            return cycle * first
        return (self.growth**cycle - 1) / (self.growth - 1) * first
