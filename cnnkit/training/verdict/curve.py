"""A curve: a figure over the epochs, and what of its course is more than noise.

All is by ranks and medians, as a single bad epoch is no course. Where few epochs tell too little, the answer is that
there is nothing to tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cnnkit.core.lazy import np

SMOOTHED, NARROWEST, WIDEST = 8, 3, 15
"""The window of the running median is an epoch in so many, odd, and not narrower or wider than these."""

RAW = 5
"""Of fewer epochs nothing is smoothed."""


@dataclass(frozen=True)
class Curve:
    """A figure over some epochs, in their order.

    Attributes:
        values: float64 (n,), finite.
    """

    values: Any

    def __len__(self) -> int:
        return len(self.values)

    @property
    def _reach(self) -> int:
        """How many epochs to each side of one are smoothed with it."""
        return 0 if len(self) < RAW else min(max(len(self) // SMOOTHED, NARROWEST), WIDEST) // 2

    @property
    def last(self) -> float:
        """Where it ends, noise taken off."""
        return float(self.smooth[-1])

    @cached_property
    def smooth(self) -> Any:
        """The running median, float64 (n,); the first and last epochs share the first and last window."""
        n, window = len(self), 2 * self._reach + 1
        starts = np.clip(np.arange(n) - self._reach, 0, n - window)
        return np.median(self.values[starts[:, None] + np.arange(window)], axis=1)

    @cached_property
    def noise(self) -> float:
        """The standard deviation of an epoch from the course, as a normal distribution would have it; 0 if unknown.

        From the median of the second differences, which a straight course does not have, and a bent one hardly.
        """
        if len(self) < RAW:
            return 0.0
        return 1.4826 * float(np.median(np.abs(np.diff(self.values, 2)))) / 6**0.5

    def lowest(self) -> int:
        """The place of its valley: of the epochs around the least of the smoothed course the least."""
        least = int(self.smooth.argmin())
        level = np.flatnonzero(self.smooth[least:] != self.smooth[least])
        last = least + int(level[0] if len(level) else len(self) - least) - 1
        first = max(0, least - self._reach)
        return first + int(self.values[first : last + self._reach + 1].argmin())

    def from_place(self, place: int) -> Curve:
        """What is behind a place, with it; a negative one counts from the end."""
        return Curve(self.values[place:])

    def tendency(self) -> float:
        """Kendall's tau of value and epoch, -1 where each is lower than all before it, to 1; 0 for a single one."""
        n = len(self)
        if n < 2:
            return 0.0
        earlier, later = np.triu_indices(n, 1)
        return float(np.sign(self.values[later] - self.values[earlier]).mean())

    def slope(self) -> float:
        """By how much it changes an epoch: the median of the slopes between any two (Theil 1950, Sen 1968)."""
        if len(self) < 2:
            return 0.0
        earlier, later = np.triu_indices(len(self), 1)
        return float(np.median((self.values[later] - self.values[earlier]) / (later - earlier)))
