"""How a training is stopped from outside, by a signal or by the time that it has: with its state on the disk."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from cnnkit.core.signals import Noted
from cnnkit.training.observers import Observer, sound

if TYPE_CHECKING:
    from cnnkit.training.stage_fit import StageFit


class TimeIsUp(Exception):
    """`train.time_limit` is over; the state of the training is on the disk."""


class Asked(Exception):
    """The training is to end here, and its state to be kept."""


class Clock:
    """How much of `train.time_limit` is left: from the start of the command on, with all that is done before."""

    def __init__(self, minutes: float | None = None):
        """Starts it.

        Args:
            minutes: The limit; None for none.
        """
        self._end = None if minutes is None else time.monotonic() + 60 * minutes

    def is_up(self) -> bool:
        """Whether the time is over."""
        return self._end is not None and time.monotonic() >= self._end


class Stop(Observer):
    """Ends the training where a signal has come or its time is up, at the next moment that can be kept whole.

    That is after the updates of one call, half a second and an update at most, or after some batches of a validation.
    It has to come behind all others, whose state is to be that of the same moment.
    """

    def __init__(self, signals: Noted, clock: Clock, last: bool = True):
        """Follows a stage.

        Args:
            signals: Those that have come.
            clock: Its time.
            last: Whether it is the last one.
        """
        self._signals, self._clock, self._last = signals, clock, last

    def updates_done(self, fit: StageFit) -> None:
        """Stops if that is asked for."""
        self._stop()

    def validating(self, fit: StageFit) -> None:
        """Likewise; all of the validation is to be made anew then."""
        self._stop()

    def epoch_ends(self, fit: StageFit, metrics: dict[str, Any]) -> None:
        """Likewise; an epoch whose metrics are not all numbers is the end, and nothing to go on from.

        Behind the last epoch of all no time is needed any more.
        """
        over = self._last and (fit.stopped or fit.epoch == fit.end)
        if sound(metrics):
            self._stop(in_time=over)

    def _stop(self, in_time: bool = False) -> None:
        """Stops if that is asked for.

        Args:
            in_time: Whether it is so whatever the clock says.

        Raises:
            Asked: It is.
        """
        if self._signals or (not in_time and self._clock.is_up()):
            raise Asked
